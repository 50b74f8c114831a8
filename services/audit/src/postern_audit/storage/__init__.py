"""Where the ledger lies: PostgreSQL for entries, a file outside of it for checkpoints, a file for the signing key."""
