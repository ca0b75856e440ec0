"""What functions and classes reach."""
