"""The project's files as they travel to workers that do not see them.

Here they are put into the store of the deployment; there they are laid out below the worker's own directory.
"""
