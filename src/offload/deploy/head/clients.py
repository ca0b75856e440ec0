"""The head's lines to what it runs: to Dask's scheduler by its public RPC, to other services by HTTPS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

from offload.deploy.security import credentials
from offload.registry.contact import Contact
from offload.registry.deployments import Place

TYPE_CHECKING = False
if TYPE_CHECKING:
    import aiohttp

CONNECT_SECONDS, SECONDS = 3.0, 30.0


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
        security = daskside.security_of(self._place)
        arguments = security.get_connection_args("client")
        return distributed.core.rpc(self._contact.scheduler, timeout=CONNECT_SECONDS, connection_args=arguments)


def _imported() -> tuple[Any, Any]:
    import distributed

    from offload.deploy.services import dask as daskside

    return distributed, daskside


class ServiceLink:
    """Asks one of the HTTP services.

    Parameters
    ----------
    place : Place
        The deployment, whose certificates are trusted and whose token is shown.
    url : callable
        Says where the service is now.
    """

    def __init__(self, place: Place, url: Callable[[], str | None]) -> None:
        self._place = place
        self._url = url
        self._session: aiohttp.ClientSession | None = None

    async def get(self, path: str) -> dict[str, Any]:
        """Return what the service has to say.

        Raises
        ------
        OSError, TimeoutError
            If it does not answer.
        """
        import aiohttp

        if self._session is None:
            context = ssl.create_default_context(cafile=credentials.authority(self._place.keys))
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=context),
                headers={"Authorization": f"Bearer {credentials.token(self._place.keys)}"},
                timeout=aiohttp.ClientTimeout(SECONDS),
            )
        try:
            async with self._session.get(f"{self._url()}{path}", raise_for_status=True) as answer:
                told: dict[str, Any] = await answer.json()
                return told
        except aiohttp.ClientError as exc:
            raise OSError(f"{self._url()} does not answer: {exc}") from exc

    async def close(self) -> None:
        """Let go of the connection."""
        if self._session is not None:
            await self._session.close()
