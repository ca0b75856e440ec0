"""Which deployments there are, which one is in use, and where results go."""
