"""``offload.connect``: which deployment counts, and for whom."""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
from pathlib import Path

import pytest

import offload
from offload.deploy.config.link import Link
from offload.deploy.config.spec import Spec
from offload.errors import NotFoundError, OffloadError, UsageError
from offload.registry.contact import Contact
from offload.registry.deployments import Registry


@pytest.fixture
def registry(home: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """Deployments a, b and c, of which a is in use."""
    monkeypatch.delenv("OFFLOAD_DEPLOYMENT", raising=False)
    registry = Registry(str(home))
    for name in ("a", "b", "c"):
        Contact("running", {"pid": 1}).write(registry.create(name, "{}").contact)
    registry.use("a")
    return registry


def active(registry: Registry) -> str | None:
    place = registry.active()
    return place.name if place is not None else None


def test_it_counts_more_than_the_environment_and_use(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFLOAD_DEPLOYMENT", "b")
    with offload.connect("c") as connection:
        assert active(registry) == connection.name == "c"
        assert "c" in repr(connection)
        chosen = registry.active("a")
        assert chosen is not None
        assert chosen.name == "a"
    assert active(registry) == "b"


def test_connections_nest_and_restore_also_after_an_error(registry: Registry) -> None:
    def fail() -> None:
        with offload.connect("c"):
            assert active(registry) == "c"
            raise ValueError("x")

    with offload.connect("b"):
        with pytest.raises(ValueError, match="x"):
            fail()
        assert active(registry) == "b"
        for nothing in (None, "none"):
            with offload.connect(nothing):
                assert active(registry) is None
        assert active(registry) == "b"
    assert active(registry) == "a"


def test_a_plain_call_counts_until_it_is_closed(registry: Registry) -> None:
    first, second = offload.connect("b"), offload.connect("c")
    first.close()
    assert active(registry) == "c"
    second.close()
    second.close()
    assert active(registry) == "a"


def test_other_threads_and_forked_children_see_it(registry: Registry) -> None:
    seen = []
    with offload.connect("b"):
        thread = threading.Thread(target=lambda: seen.append(active(registry)))
        thread.start()
        thread.join()
        with multiprocessing.get_context("fork").Pool(1) as pool:
            seen.append(pool.apply(active, [registry]))
    assert seen == ["b", "b"]


def test_async_with(registry: Registry) -> None:
    async def inside() -> str | None:
        async with offload.connect("b"):
            return active(registry)

    assert asyncio.run(inside()) == "b"
    assert active(registry) == "a"


def test_one_that_is_not_there_is_told_at_once(registry: Registry) -> None:
    with pytest.raises(NotFoundError, match="there is no deployment x") as caught:
        offload.connect("x")
    assert "a, b, c" in str(caught.value.hint)
    registry.create("d", "{}")
    with pytest.raises(OffloadError, match="the deployment d is down"):
        offload.connect("d")
    with pytest.raises(UsageError):
        offload.connect("no name")
    assert active(registry) == "a"


def test_what_is_no_name_is_told_with_the_names_that_there_are(registry: Registry) -> None:
    with pytest.raises(UsageError, match=r"which deployment") as missing:
        offload.connect()
    assert "a, b, c" in str(missing.value.hint)
    link = Link("ssh://me@server", runtime="/nowhere")
    registry.create("big", Spec("big", link=link).to_json())
    with pytest.raises(UsageError, match="is no name") as known:
        offload.connect("ssh://me@server")
    assert "offload.connect('big')" in str(known.value.hint)
    with pytest.raises(UsageError, match="is no name") as unknown:
        offload.connect("ssh://me@other")
    assert "offload up ssh://me@other" in str(unknown.value.hint)
    assert active(registry) == "a"


def test_none_is_no_name_and_can_stand_in_the_environment(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="cannot be the name"):
        registry.create("none", "{}")
    monkeypatch.setenv("OFFLOAD_DEPLOYMENT", "none")
    assert active(registry) is None
    assert registry.active("none") is None
