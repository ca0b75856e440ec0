"""What every kind of `Deployment` object does."""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import offload
from offload.api import submit
from offload.errors import OffloadError, UsageError
from offload.registry.deployments import Registry
from tests.deploy.test_local import eventually

pytestmark = pytest.mark.real

SECONDS = 90.0

Make = Callable[..., offload.Deployment]


@pytest.fixture(params=["processes", "in-process"])
def make(request: pytest.FixtureRequest, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Make deployments of one kind, and close those that the test leaves."""
    monkeypatch.delenv("OFFLOAD_DEPLOYMENT", raising=False)
    made = []

    def make(**choices: Any) -> offload.Deployment:
        deployment = offload.Deployment(**{"workers": 1, "in_process": request.param == "in-process", **choices})
        made.append(deployment)
        return deployment

    yield make
    for deployment in made:
        deployment._asynchronous = False
        deployment.close()
    submit.shutdown()
    assert Registry(str(home)).names() == []
    assert not [name for name in os.listdir(home) if name.startswith("scratch-")] if home.exists() else True


@offload.task
def double(number: int) -> int:
    return 2 * number


@offload.task(effects="ignore")
def where(number: int) -> int:
    return os.getpid()


@offload.task
def fail(number: int) -> None:
    raise ValueError(f"no {number}")


@offload.task
def nested(number: int) -> int:
    return 1 + int(double(number))


def workers(deployment: offload.Deployment) -> list[dict[str, Any]]:
    return [worker for worker in deployment.status()["workers"] if worker["state"] == "connected"]


def test_calls_run_on_it_and_are_recalled_without_it(make: Make) -> None:
    with make() as deployment:
        futures = double.map(range(20))
        assert offload.gather(futures, timeout=SECONDS) == [2 * n for n in range(20)]
        assert double.submit(futures[3]).result(SECONDS) == 12
        assert nested.submit(100).result(SECONDS) == 201
        assert (where.submit(1).result(SECONDS) == os.getpid()) is deployment.here
    assert double(7) == 14
    assert all(future.recalled for future in double.map(range(20)))


def test_what_one_kind_has_computed_the_other_recalls(home: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"

    @offload.task
    def logged(path: str, number: int) -> int:
        with open(path, "a") as file:
            file.write(f"{number}\n")
        return number

    for here in (False, True, False):
        with offload.Deployment(workers=1, in_process=here):
            assert offload.gather(logged.map([str(log)] * 5, range(5)), timeout=SECONDS) == list(range(5))
    assert sorted(log.read_text().split()) == ["0", "1", "2", "3", "4"]
    submit.shutdown()


def test_what_a_call_raises_comes_back(make: Make) -> None:
    with make(), pytest.raises(ValueError, match="no 3"):
        fail.submit(3).result(SECONDS)


def test_it_is_the_active_one_within_the_block_only(make: Make) -> None:
    with make() as outer, make() as inner:
        with offload.client() as client:
            assert client.scheduler.address == inner.scheduler_address
        with offload.client(outer.name) as client:
            assert client.scheduler.address == outer.scheduler_address
    with pytest.raises(OffloadError):
        offload.client()


def test_its_status(make: Make) -> None:
    with make(workers=2, threads=2) as deployment:
        eventually(lambda: len(workers(deployment)) == 2)
        told = deployment.status()
        assert (told["name"], told["state"]) == (deployment.name, "running")
        assert told["scheduler"] == deployment.scheduler_address
        assert "scheduler" in [service["name"] for service in told["services"]]
        names = {worker["name"] for worker in told["workers"]}
        assert names == {"worker-0", "worker-1"}
        for worker in told["workers"]:
            assert worker["threads"] == 2
            assert set(worker) >= {"address", "pid", "restarts", "memory", "memory_limit", "executing"}


def test_its_clients_are_shown(make: Make) -> None:
    with make() as deployment, deployment.get_client() as client:
        assert (client.dashboard_link is None) is deployment.here
        assert "Client-" in client._repr_html_()


def test_scaling(make: Make) -> None:
    with make() as deployment:
        deployment.scale(2)
        eventually(lambda: len(workers(deployment)) == 2)
        deployment.scale(0)
        eventually(lambda: not workers(deployment))
        with pytest.raises(OffloadError):
            deployment.scale(-1)
        deployment.scale(1)
        assert double.submit(1).result(SECONDS) == 2


@pytest.mark.parametrize("how", ["adapt", "choices"])
def test_workers_that_come_with_the_work(make: Make, how: str) -> None:
    with make(workers=0) if how == "adapt" else make(workers=None, minimum=0, maximum=2) as deployment:
        if how == "adapt":
            with pytest.raises(OffloadError):
                deployment.adapt(2, 1)
            deployment.adapt(0, 2)
        assert not workers(deployment)
        assert double.submit(1).result(SECONDS) == 2
        assert len(deployment.status()["workers"]) in (0, 1, 2)


def test_logs(make: Make) -> None:
    with make() as deployment:
        eventually(lambda: workers(deployment))
        logs = eventually(lambda: {**deployment.logs()} if "worker-0" in deployment.logs() else None)
        assert "scheduler" in logs
        assert all(isinstance(text, str) for text in logs.values())


def test_a_client_of_dask(make: Make) -> None:
    with make() as deployment, deployment.get_client() as client:
        assert client.submit(sum, [1, 2]).result(SECONDS) == 3
        assert client.scheduler.address == deployment.scheduler_address


def test_an_asynchronous_client_of_dask(make: Make) -> None:
    async def main() -> int:
        with make() as deployment:
            async with deployment.get_client(asynchronous=True) as client:
                return int(await client.submit(sum, [1, 2]))

    assert asyncio.run(main()) == 3


def waits_for_the_loop(subject: object, name: str, loop: asyncio.AbstractEventLoop) -> None:
    """Let a method wait for the event loop to do something; called in its thread, it would wait for ever."""
    original = getattr(subject, name)

    def method() -> None:
        alive = threading.Event()
        loop.call_soon_threadsafe(alive.set)
        assert alive.wait(SECONDS)
        original()

    setattr(subject, name, method)


def test_async_with_blocks_nothing(make: Make) -> None:
    async def main() -> None:
        deployment, loop = make(), asyncio.get_running_loop()
        waits_for_the_loop(deployment._cluster, "start", loop)
        waits_for_the_loop(deployment._cluster, "stop", loop)
        async with deployment:
            assert (await deployment.status())["state"] == "running"
            await deployment.scale(2)
            assert "scheduler" in await deployment.logs()
            async with deployment.get_client() as client:
                assert await client.submit(sum, [1, 2]) == 3
            assert await double.submit(1) == 2
        with pytest.raises(OffloadError, match="has been closed"):
            deployment.status()

    asyncio.run(main())


def test_one_that_is_cancelled_while_it_comes_up_leaves_nothing(make: Make) -> None:
    async def main() -> None:
        deployment = make()
        entering = asyncio.create_task(deployment.__aenter__())
        await asyncio.sleep(0)
        entering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await entering
        assert "closed" in repr(deployment)

    asyncio.run(main())


def test_closing_twice_and_use_after_it(make: Make) -> None:
    deployment = make()
    with pytest.raises(OffloadError, match="is not up yet"):
        deployment.status()
    assert deployment.start() is deployment.start()
    deployment.close()
    deployment.close()
    uses: list[Callable[[], object]] = [
        lambda: deployment.scheduler_address, lambda: deployment.dashboard_link, deployment.status, deployment.logs,
        deployment.get_client, lambda: deployment.scale(1), lambda: deployment.adapt(0, 1), deployment.start,
    ]  # fmt: skip
    for use in uses:
        with pytest.raises(OffloadError, match="has been closed"):
            use()


def test_an_error_in_the_block_brings_it_down_and_gets_out(make: Make) -> None:
    with pytest.raises(KeyboardInterrupt), make() as deployment:
        raise KeyboardInterrupt
    assert "closed" in repr(deployment)


def test_calls_that_are_not_done_at_the_end_fail(make: Make, tmp_path: Path) -> None:
    begun = tmp_path / "begun"

    @offload.task
    def wait(path: str, seconds: float) -> None:
        import time

        open(path, "w").close()
        time.sleep(seconds)

    with make() as deployment:
        futures = wait.map([str(begun)] * 3, [3, 4, 5])
        eventually(begun.exists)
    for future in futures:
        with pytest.raises(OffloadError, match=f"{deployment.name} was closed"):
            future.result(SECONDS)


def test_how_it_shows_itself(make: Make) -> None:
    deployment = make()
    assert repr(deployment) == f"<offload.Deployment {deployment.name}: not up yet>"
    with deployment:
        assert repr(deployment) == f"<offload.Deployment {deployment.name}: up>"
        html = deployment._repr_html_()
        assert deployment.name in html
        assert str(deployment.scheduler_address) in html
        assert "token" not in html
        assert len(re.findall("<t[hd]>", html)) == len(re.findall("</t[hd]>", html))
    assert "closed" in deployment._repr_html_()


def test_choices_are_checked_at_once(make: Make) -> None:
    with pytest.raises(UsageError, match="wurkers is no choice"):
        make(wurkers=2)
    with pytest.raises(UsageError):
        make(workers=-1)
    with pytest.raises(UsageError):
        make(name="No Name")
