"""How a client reaches the services of a deployment on another machine."""
