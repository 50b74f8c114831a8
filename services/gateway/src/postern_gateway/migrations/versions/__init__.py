"""Alembic migrations of the schema ``gateway``."""
