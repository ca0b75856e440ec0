"""A command runs: scratch directory, processes, outputs."""
