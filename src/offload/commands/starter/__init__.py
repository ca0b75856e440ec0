"""The resident starter: a small process that starts commands, watches them, and ends them with its parent.

Nothing is imported here: the starter itself is to be there in some milliseconds.
"""
