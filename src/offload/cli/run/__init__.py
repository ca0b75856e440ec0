"""``offload run``."""
