"""What a worker does with a command."""
