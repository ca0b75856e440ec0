"""Canonical encodings of values."""
