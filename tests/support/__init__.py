"""What the suites share: real servers for one test session, a fresh database and a fresh virtual host for each test."""
