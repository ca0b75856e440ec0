"""What makes two computations the same: checksums, canonical values, functions, commands.

Imports nothing of offload but ``offload.errors``.
"""
