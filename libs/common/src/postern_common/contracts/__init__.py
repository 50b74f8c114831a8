"""The contracts between the services: pure data, no I/O.

Everything that two processes must agree on stands here and nowhere else: envelopes, payloads, broker topology, names in
Kubernetes, states, goals and reason codes.
"""
