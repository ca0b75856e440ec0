"""How workers can be that are connected, and do not answer."""

SILENT = "silent"
"""The state of a worker that is connected, and of which nothing is heard."""

ENGAGED = "it is in code that lets nothing else of it run"
"""What a silent worker says that is at work."""
