"""Deployments: a head, its workers and its storage, under a name."""
