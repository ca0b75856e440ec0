"""How workers and services can be whose processes run, and that do not answer."""

SILENT = "silent"
"""The state of a worker that is connected, and of which nothing is heard; and of a service that does not answer."""

STOPPED_SERVICE = "its process runs, and does not answer"
"""What is said of such a service."""

ENGAGED = "it is in code that lets nothing else of it run"
"""What a silent worker says that is at work."""
