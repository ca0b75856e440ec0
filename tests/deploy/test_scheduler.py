"""The scheduler of a deployment, as it starts."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
from pathlib import Path

import pytest

from offload.deploy import endpoints
from offload.deploy.config.spec import Spec, spec_of
from offload.deploy.lifecycle import common
from offload.deploy.services import scheduler
from offload.registry.deployments import Registry


@pytest.mark.parametrize("before", [True, False], ids=["the one it had before", "the first it looks at"])
def test_a_port_that_is_taken_between_the_look_and_the_listening_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    registry = Registry(str(tmp_path))
    common.prepare(registry, Spec(name="test"))
    place = registry.get("test")
    with socket.create_server(("127.0.0.1", 0)) as taken, tempfile.TemporaryDirectory() as scratch:
        port = taken.getsockname()[1]
        looks = iter([port])  # at the first look, it seems to be free
        is_free, free_port = endpoints.is_free, endpoints.free_port
        monkeypatch.setattr(scheduler, "is_free", lambda *args: next(looks, 0) == port or is_free(*args))
        monkeypatch.setattr(scheduler, "free_port", lambda *args: next(looks, 0) or free_port(*args))

        async def start() -> int:
            made, found = await scheduler.listening(
                place, spec_of(place), os.path.join(scratch, "socket"), port if before else None
            )
            async with made:
                assert str(found) in made.address
            return found

        assert asyncio.run(start()) != port
