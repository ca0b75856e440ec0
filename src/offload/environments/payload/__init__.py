"""What runs on the other machine: Python's standard library alone, sent as text (`offload.environments.rpc`)."""
