"""Message handlers of the gateway."""
