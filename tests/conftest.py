"""Registers the fixtures that every suite may use; they start nothing until a test asks for them."""

pytest_plugins = ["tests.support.servers", "tests.support.databases", "tests.support.brokers", "tests.support.stacks"]
