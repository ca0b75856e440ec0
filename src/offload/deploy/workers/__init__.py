"""How workers come and go: as processes of the head's machine, or as jobs of a batch system."""
