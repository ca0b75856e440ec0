"""What knows nothing of offload: files, locks, processes, units."""
