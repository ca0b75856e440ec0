"""What a command depends on."""
