"""The head: a small supervisor next to the workers, with the scheduler and the storage service as children."""
