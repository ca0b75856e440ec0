"""``offload.Deployment``: a deployment as a Python object."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import dataclasses
import os
import secrets
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from offload.api import submit
from offload.api.backend import Cluster
from offload.api.connection import Connection
from offload.api.external import Separate
from offload.deploy.config.resolve import understand
from offload.deploy.config.spec import WORKER, Spec
from offload.engines.base import AGAIN, Engine
from offload.errors import EngineLostError, OffloadError, UsageError
from offload.registry.active import choose, drop


class Deployment(Connection):
    """A Dask deployment for the work of this program: brought up, used, and brought down again.

    Within the block it is the active one: calls that are submitted, and :func:`offload.client`, go to it. At its end,
    however it comes about, it is brought down; calls that are not done by then fail, and what was recorded stays.
    A deployment of this name that is up already is used, and left up. With ``async with``, nothing blocks the event
    loop, and `status`, `scale`, `adapt`, `logs` and `close` are to be awaited.

    Parameters
    ----------
    name : str, optional
        What it is called; by default a name that is not taken.
    in_process : bool
        Start scheduler and workers as threads of this process, which talk in memory: for tests. There are no
        certificates, no dashboard, and no other process can use it.
    **choices
        Those of ``offload up``: ``workers=2``, ``threads=1``, ``memory_limit="4GB"``, ``ports="60001-61000"``, ...

    Raises
    ------
    UsageError
        If a choice does not exist or makes no sense.

    Examples
    --------
    >>> import offload
    >>> with offload.Deployment(workers=1, in_process=True) as deployment:
    ...     with deployment.get_client() as client:
    ...         client.submit(sum, [1, 2]).result()
    3
    """

    def __init__(self, name: str | None = None, *, in_process: bool = False, **choices: Any) -> None:
        if name is None:
            name = f"{'in-process' if in_process else 'python'}-{os.getpid()}-{secrets.token_hex(3)}"
        spec = _spec(name, choices)
        if in_process:
            from offload.api.in_process import CHOICES, InProcess

            if wrong := set(choices) - CHOICES:
                raise UsageError(
                    f"{sorted(wrong)[0]} means nothing to a deployment within this process", "leave it out"
                )
            self._take(InProcess(spec))
        else:
            self._take(Separate(name, spec))

    def _take(self, cluster: Cluster) -> None:
        super().__init__(cluster.name)
        self.here = cluster.here
        self._cluster = cluster
        self._state = "new"
        self._asynchronous = False
        self._process = os.getpid()

    @classmethod
    def running(cls, name: str) -> Deployment:
        """Return one that is up, and make it the active one; to close it leaves it up."""
        found = cls.__new__(cls)
        found._take(Separate(name))
        return found.start()

    def start(self) -> Self:
        """Bring it up and make it the active one, until `close`; ``with`` does the same.

        Raises
        ------
        OffloadError
            If it does not come up, or has been closed.
        """
        if self._state == "closed":
            raise self._closed()
        if self._state == "new":
            self._cluster.start()
            self._state = "open"
            choose(self)
            atexit.register(self._end_forgotten)
        return self

    def close(self) -> Any:
        """Bring it down, if it was brought up here. To close twice is no error."""
        return self._do(self._end)

    def _end(self) -> None:
        drop(self)
        if self._state == "open":
            if self._cluster.owned:
                gone = EngineLostError(f"the deployment {self.name} was closed", AGAIN)
                submit.give_up(self if self.here else self._cluster.path, gone)
            self._cluster.stop()
            atexit.unregister(self._end_forgotten)
        self._state = "closed"

    def _end_forgotten(self) -> None:
        if os.getpid() == self._process:  # a child of the one that started it has inherited this
            self._end()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    async def __aenter__(self) -> Self:
        self._asynchronous = True
        starting = asyncio.ensure_future(asyncio.to_thread(self.start))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            with contextlib.suppress(OffloadError):
                await starting  # the thread cannot be stopped half-way
            await asyncio.to_thread(self._end)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.shield(asyncio.to_thread(self._end))

    @property
    def scheduler_address(self) -> str | None:
        """Dask's address of the scheduler."""
        return self._open().scheduler_address()

    @property
    def dashboard_link(self) -> str | None:
        """A link that opens Dask's dashboard. It holds the deployment's token: do not pass it on."""
        return self._open().dashboard_link()

    def status(self) -> Any:
        """Return how it is, as plain values: its state, services, workers, and what is under way."""
        return self._do(self._open().status)

    def scale(self, workers: int, group: str = WORKER) -> Any:
        """Have so many workers. Those that go hand over what they hold."""
        cluster = self._open()
        return self._do(lambda: cluster.scale(workers, group))

    def adapt(self, minimum: int, maximum: int, group: str = WORKER) -> Any:
        """Have as many workers as there is work for, within these limits."""
        cluster = self._open()
        return self._do(lambda: cluster.adapt(minimum, maximum, group))

    def logs(self) -> Any:
        """Return the logs of each process, as a dict of texts."""
        return self._do(self._open().logs)

    def get_client(self, asynchronous: bool | None = None, **options: Any) -> Any:
        """Return a plain ``distributed.Client`` on it.

        Parameters
        ----------
        asynchronous : bool, optional
            Whether it is to be awaited; by default within ``async with``.
        **options
            For ``distributed.Client``.
        """
        asynchronous = self._asynchronous if asynchronous is None else asynchronous
        return self._open().client(asynchronous=asynchronous, **options)

    def client(self, **options: Any) -> Any:
        """Return what `get_client` does; used by :func:`offload.client`."""
        return self.get_client(**options)

    def engine(self) -> Engine:
        """Return a new engine for calls of this process; used by offload itself."""
        return self._open().engine()

    def _do(self, action: Callable[[], Any]) -> Any:
        """Do something that may take long: at once, or as what can be awaited."""
        return asyncio.to_thread(action) if self._asynchronous else action()

    def _open(self) -> Cluster:
        if self._state == "new":
            raise OffloadError(
                f"the deployment {self.name} is not up yet", "use it within its with block, or start() it"
            )
        if self._state == "closed":
            raise self._closed()
        return self._cluster

    def _closed(self) -> OffloadError:
        return OffloadError(f"the deployment {self.name} has been closed", "make another one: offload.Deployment(...)")

    def __repr__(self) -> str:
        return f"<offload.Deployment {self.name}: {_SHOWN[self._state]}>"

    def _repr_html_(self) -> str:
        from html import escape

        rows = [("state", _SHOWN[self._state])]
        if self._state == "open":
            rows.append(("scheduler", self.scheduler_address or "none"))
            if not self._asynchronous:  # this may not be awaited, and must not block
                told = self._cluster.status()
                rows[0] = ("state", told["state"])
                rows.append(("workers", ", ".join(f"{w['name']} ({w['state']})" for w in told["workers"]) or "none"))
            if not self.here:  # without the link: a notebook is easily given away, and the link with it
                rows.append(("dashboard", f"offload dashboard {self.name}"))
        cells = "".join(f"<tr><th>{escape(title)}</th><td>{escape(text)}</td></tr>" for title, text in rows)
        return f"<table><caption>offload.Deployment {escape(self.name)}</caption>{cells}</table>"


def _spec(name: str, choices: dict[str, Any]) -> Spec:
    known = [field.name for field in dataclasses.fields(Spec) if field.name != "name"]
    for choice in choices:
        if choice not in known:
            raise UsageError(f"{choice} is no choice for a deployment", f"there are: {', '.join(known)}")
    # Times and ports may be given as on the command line, or as a spec has them.
    ready = {key: choices[key] for key in ("idle", "ports") if not isinstance(choices.get(key, ""), str)}
    values = {key: value for key, value in choices.items() if key not in ready and value is not None}
    understand(values, {})
    return Spec(name=name, **values, **ready)


_SHOWN = {"new": "not up yet", "open": "up", "closed": "closed"}
