"""The job service: takes calls and commands from clients, and gives them to Dask."""
