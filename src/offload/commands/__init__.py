"""Running a shell command, or recalling what it gave: inputs, scratch directory, execution, outputs.

Nothing is imported here, so that a recalled command costs only the modules it needs.
"""
