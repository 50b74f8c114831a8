"""What a ledger entry is and what must hold between entries: pure, no I/O."""
