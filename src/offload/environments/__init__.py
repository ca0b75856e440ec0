"""The software of a deployment on another machine: a Python there with what is installed here."""
