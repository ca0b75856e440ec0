"""The head's line to Dask's scheduler: questions and requests by its public RPC."""

from __future__ import annotations

import asyncio
from typing import Any

from offload.compute.contact import Contact
from offload.compute.places import Place

SECONDS = 30.0


class SchedulerLink:
    """Asks the scheduler, over a connection that is kept.

    Parameters
    ----------
    place : Place
        The deployment, whose certificates are shown.
    contact : Contact
        Says where the scheduler is now.
    """

    def __init__(self, place: Place, contact: Contact) -> None:
        self._place = place
        self._contact = contact
        self._rpc: Any = None
        self._address: str | None = None

    async def call(self, what: str, **arguments: Any) -> Any:
        """Return what the scheduler answers.

        Raises
        ------
        OSError, TimeoutError
            If it does not answer.
        """
        if self._address != self._contact.scheduler:
            await self.close()
            self._rpc = await self._connected()
            self._address = self._contact.scheduler
        return await asyncio.wait_for(getattr(self._rpc, what)(**arguments), SECONDS)

    async def close(self) -> None:
        """Let go of the connection."""
        if self._rpc is not None:
            await self._rpc.close_rpc()
            self._rpc = self._address = None

    async def _connected(self) -> Any:
        # Dask takes half a second to import: the head has started its children by then.
        distributed, daskside = await asyncio.to_thread(_imported)
        security = daskside.dask_security(self._place.keys)
        return distributed.core.rpc(self._contact.scheduler, connection_args=security.get_connection_args("client"))


def _imported() -> tuple[Any, Any]:
    import distributed

    from offload.deploy import daskside

    return distributed, daskside
