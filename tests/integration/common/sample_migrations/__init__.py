"""Migrations of a service that has nothing but the messaging tables."""
