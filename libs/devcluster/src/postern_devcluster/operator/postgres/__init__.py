"""PostgreSQL on this machine: binaries, accounts, data directories, processes and the statements the operator runs."""
