"""The public Python face of offload."""
