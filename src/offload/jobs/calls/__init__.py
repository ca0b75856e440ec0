"""The job service: takes calls from any number of clients over HTTP, and alone gives them to Dask.

So a client needs no Dask and may go away, and two clients that ask for the same thing get one run.
"""
