"""What calls may use: as it is written, and as it holds for tasks."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

import offload
from offload.api import submit
from offload.errors import UsageError
from offload.transport.limits import parse_limits


@pytest.mark.parametrize(
    ("memory", "size"),
    [
        ("2GB", 2 * 10**9),
        ("500 MiB", 500 * 2**20),
        ("1.5gb", 1_500_000_000),
        (4096, 4096),
        (1e6, 10**6),
        ("7000", 7000),
    ],
)
def test_sizes(memory: str | float, size: int) -> None:
    assert parse_limits(None, memory) == (None, size)


@pytest.mark.parametrize("memory", ["", "much", "2 apples", 0, -1, "-2GB", True, float("nan"), float("inf"), [1]])
def test_what_is_not_a_size(memory: object) -> None:
    with pytest.raises(UsageError, match="is not a size"):
        parse_limits(None, memory)


@pytest.mark.parametrize("timeout", [0, -1, "90", True, float("nan"), float("inf")])
def test_what_is_not_a_time_limit(timeout: object) -> None:
    with pytest.raises(UsageError, match="is not a time limit"):
        parse_limits(timeout, None)


@pytest.fixture
def own(home: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A cluster of this process's own, ended afterwards."""
    monkeypatch.setenv("OFFLOAD_DEPLOYMENT", "none")
    yield
    submit.shutdown()


def pause(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


@pytest.mark.real
@pytest.mark.usefixtures("own")
def test_tasks_have_limits_which_do_not_count() -> None:
    limited = offload.task(pause, timeout=1, memory="1GB")
    short, long = limited.map([0.0, 1000.0])
    with pytest.raises(TimeoutError, match="longer than 1 s, its time limit"):
        long.result(120)
    assert short.result(120) == 0.0
    again = offload.task(pause).submit(0.0)
    assert again.result(120) == 0.0
    assert again.recalled
