"""Deployments are brought up and down."""
