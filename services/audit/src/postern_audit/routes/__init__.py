"""The internal HTTP API: events and the audit view, for the gateway."""
