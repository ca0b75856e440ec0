"""Runners: processes that a Dask worker starts beside itself, in which the user's code runs."""
