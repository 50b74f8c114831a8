"""Migrations of the watcher's schema, run by ``postern-watcher migrate``."""
