"""Calls of tasks: identity, futures, claims, results."""
