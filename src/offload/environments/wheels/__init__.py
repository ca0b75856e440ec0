"""Wheels: packed, gathered, sent, downloaded."""
