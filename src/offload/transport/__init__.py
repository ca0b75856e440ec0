"""Functions, files and outcomes on their way to workers and back."""
