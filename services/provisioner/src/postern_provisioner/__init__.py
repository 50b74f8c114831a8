"""The provisioner: the only service that writes to Kubernetes.

It stores every command as a target (the latest desired generation of a database) and reconciles targets into Kubernetes
objects until they are the desired ones. It holds no delivery while it works and watches nothing.
"""
