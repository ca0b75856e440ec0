"""Certificates, tokens, grants and invitations."""
