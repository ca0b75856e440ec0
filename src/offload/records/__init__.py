"""What is told of a run: for the history, `why` and lineage."""
