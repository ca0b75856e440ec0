"""The command line, one module per group of commands; nothing heavy is imported at the top.

May import every other part of offload; nothing imports it.
"""
