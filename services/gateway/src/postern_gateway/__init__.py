"""The gateway: Postern's REST API, desired state, operations and their projection."""
