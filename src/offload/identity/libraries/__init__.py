"""Whose code is it, and what counts of libraries and of how the process is set."""
