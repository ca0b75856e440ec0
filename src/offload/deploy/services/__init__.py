"""What the head runs: the programs of its services."""
