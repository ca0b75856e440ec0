"""The base of all routes: from addresses as a head tells them to addresses that are reached from here."""

from __future__ import annotations

from abc import ABC, abstractmethod


class Route(ABC):
    """A way to the services of a deployment."""

    @abstractmethod
    def open(self) -> None:
        """Make the way, unless it is there.

        Raises
        ------
        OffloadError
            If that cannot be done now.
        """

    @abstractmethod
    def reach(self, service: str, address: str) -> str:
        """Return the address at which a service is reached from here.

        Parameters
        ----------
        service : str
            ``"head"``, ``"scheduler"``, ``"jobs"`` or ``"storage"``. The answer for a service stays the same as long as
            the route can help it.
        address : str
            Where it is now, such as ``tls://127.0.0.1:8786``, as seen from the site.

        Raises
        ------
        OffloadError
            If it cannot be reached.
        """

    @abstractmethod
    def close(self) -> None:
        """Give the way up. To close twice is no error."""


def parts(address: str) -> tuple[str, str, int]:
    """Return the scheme, the host and the port of an address.

    Examples
    --------
    >>> parts("tls://10.0.0.5:8786"), parts("https://[::1]:8787")
    (('tls', '10.0.0.5', 8786), ('https', '::1', 8787))
    """
    scheme, _, rest = address.partition("://")
    host, _, port = rest.rpartition(":")
    return scheme, host.strip("[]"), int(port)
