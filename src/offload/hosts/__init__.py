"""Where a head runs: this machine, or another one over SSH."""
