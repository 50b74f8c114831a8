"""What the Postern services share, and nothing that only one of them needs."""
