"""Commands as jobs of a deployment: kept by its job service, run on its workers, watched by any number of clients.

A job outlives the client that gave it, and the job service: it is on disk until the deployment is brought down.
"""
