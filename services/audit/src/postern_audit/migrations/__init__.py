"""Schema of the ledger, brought up to date by ``postern-audit migrate`` with an administrator's connection."""
