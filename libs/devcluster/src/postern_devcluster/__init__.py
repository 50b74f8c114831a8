"""Postern on a bare machine: private servers, the development cluster and the stack that runs them together."""
