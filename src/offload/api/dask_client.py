"""Dask's client on a deployment: it knows where the dashboard is, which the scheduler cannot tell it."""

from __future__ import annotations

from typing import Any

from distributed import Client


class DeploymentClient(Client):
    """A client whose link to the dashboard is that of the deployment.

    Parameters
    ----------
    link : str or None
        Where that is; None where there is none, and "" where Dask itself knows.
    *args, **kwargs
        As for Dask's client.
    """

    def __init__(self, link: str | None, *args: Any, **kwargs: Any) -> None:
        self._link = link
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]

    @property
    def dashboard_link(self) -> str | None:
        """The link, for a browser that has logged in once by ``offload dashboard``."""
        if self._link != "":
            return self._link
        try:
            known: str | None = super().dashboard_link
        except KeyError:  # one without a dashboard
            return None
        return known


# Notebooks show it by this name, and so does what prints it.
DeploymentClient.__name__ = DeploymentClient.__qualname__ = "Client"
