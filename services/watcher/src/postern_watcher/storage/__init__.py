"""Translation between the outside (Kubernetes' wire form, PostgreSQL rows) and the domain; decides nothing."""
