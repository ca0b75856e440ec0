"""The route to services that are reached from here as they are."""

from __future__ import annotations

from offload.deploy.routes.base import Route


class Direct(Route):
    """Addresses are used as the head tells them."""

    def open(self) -> None:
        """Do nothing: there is nothing to make."""

    def reach(self, service: str, address: str) -> str:
        """Return the address as it is."""
        return address

    def close(self) -> None:
        """Do nothing: there is nothing to give up."""
