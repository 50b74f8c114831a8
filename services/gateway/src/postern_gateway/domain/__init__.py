"""Pure decisions of the gateway: no I/O, tested by tables."""
