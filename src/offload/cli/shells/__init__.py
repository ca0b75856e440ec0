"""What ``offload shell`` loads into the user's shell, after the user's own files."""
