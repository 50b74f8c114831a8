"""Desired Kubernetes objects as pure functions: a target in, manifests out. No I/O, no defaults looked up elsewhere."""
