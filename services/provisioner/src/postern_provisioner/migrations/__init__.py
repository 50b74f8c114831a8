"""Migrations of the schema ``provisioner``; run by ``postern-provisioner migrate``."""
