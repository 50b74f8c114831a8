"""The operator half of the development cluster: runs every CloudNativePG Cluster as PostgreSQL processes of this machine."""
