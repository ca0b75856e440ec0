"""The HTTP that all services of offload speak: client, authentication, errors."""
