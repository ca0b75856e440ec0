"""Deployments: a head, its workers and its storage, under a name.

May import ``offload.compute``, ``offload.storage``, ``offload.identity`` and ``offload.errors``.
"""
