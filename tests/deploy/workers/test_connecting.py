"""A worker that connects to a scheduler that is not there any more."""

from __future__ import annotations

import asyncio
import socket

import pytest
from distributed import Nanny, Worker
from distributed.core import Status

from offload.deploy.workers import process as worker
from offload.deploy.workers.discovery import Whereabouts
from offload.registry.contact import Contact


class Told(Whereabouts):
    """A deployment whose scheduler is here first, and then there."""

    def __init__(self, *schedulers: str | None) -> None:
        self.schedulers = list(schedulers)

    def contact(self) -> Contact | None:
        scheduler = self.schedulers.pop(0) if len(self.schedulers) > 1 else self.schedulers[0]
        return Contact("running", {}, scheduler)

    join = None  # type: ignore[assignment]


@pytest.mark.parametrize("kind", [Nanny, Worker])
@pytest.mark.parametrize("now", ["tcp://127.0.0.1:2", None])
def test_a_scheduler_that_is_elsewhere_by_now_is_not_waited_for(
    kind: type, now: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "LOOK_SECONDS", 0.05)

    async def connect() -> None:
        with socket.create_server(("127.0.0.1", 0)) as deaf:  # takes the connection, and never answers
            address = f"tcp://127.0.0.1:{deaf.getsockname()[1]}"
            known = Told(address, now)
            made = kind(address, nthreads=1, host="127.0.0.1", death_timeout=300, dashboard_address=":0")
            try:
                with pytest.raises(TimeoutError, match="not waited for any longer"):
                    await worker.begun(made.start(), worker.moved(known, address))
                assert known.schedulers == [now]
            finally:
                await made.close()
            assert made.status is Status.closed

    asyncio.run(asyncio.wait_for(connect(), 60))


def test_a_start_that_fails_says_so() -> None:
    async def fail() -> None:
        raise OSError("no port is free")

    with pytest.raises(OSError, match="no port is free"):
        asyncio.run(worker.begun(fail(), asyncio.Event().wait()))  # type: ignore[arg-type]
