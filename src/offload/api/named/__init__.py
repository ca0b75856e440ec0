"""Tasks that name an environment: a process of that environment, beside the user's own, makes their calls."""
