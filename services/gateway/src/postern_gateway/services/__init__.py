"""What the gateway does for a request, a message or a sweep: one transaction each, decided by the domain."""
