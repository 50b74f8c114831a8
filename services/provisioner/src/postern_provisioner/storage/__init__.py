"""Where the provisioner keeps and finds things: targets in PostgreSQL, objects in Kubernetes. It translates only."""
