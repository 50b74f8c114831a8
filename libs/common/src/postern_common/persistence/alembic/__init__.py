"""Alembic's script location: the environment of every service's migrations."""
