"""Real hosts on one Linux machine, for tests: see README.md here."""
