"""The audit service: the ledger of everything that was asked and everything that happened."""
