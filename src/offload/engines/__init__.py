"""Where batches of calls run: Dask, on this machine or on a deployment."""
