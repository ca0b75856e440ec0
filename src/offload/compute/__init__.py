"""Running a transformation, or recalling it: tasks, futures, commands, the local cluster.

May import ``offload.storage``, ``offload.identity`` and ``offload.errors``.
"""
