"""Deployments on other machines: brought up there, known here as if they were here."""
