"""Projects as people have them, edited and run as their owners would."""
