"""Tasks as plain functions, one call anew, and the shapes of many calls."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import offload
from offload.registry.session import current

if TYPE_CHECKING:
    from tests.compute.conftest import Script


@pytest.fixture(autouse=True)
def used(home: Path) -> None:
    """Each test has a home of its own."""


class Counter:
    """Counts calls without being an argument of them."""

    calls = 0


@offload.task(version="1", effects="ignore")
def half(number: float, by: float = 2) -> float:
    Counter.calls += 1
    return number / by


@offload.task(version="1", effects="ignore")
async def later(number: int) -> int:
    Counter.calls += 1
    await asyncio.sleep(0)
    return number + 1


class Place:
    def __init__(self, x: int) -> None:
        self.x = x

    @offload.task
    def add(self, one: int, other: int = 0) -> int:
        return self.x + one + other


def calls(function: object) -> int:
    Counter.calls = 0
    assert callable(function)
    function()
    return Counter.calls


def test_off() -> None:
    assert half(6) == 3
    with offload.off(), offload.off():
        assert calls(lambda: (half(6), half(6))) == 2
        future = half.submit(8)
        assert (future.done(), future.recalled, future.result()) == (True, False, 4)
        assert offload.gather(half.map([2, 4], by=4)) == [0.5, 1]
        assert half(half.submit(8).result()) == half.submit(half.submit(8)).result() == 2
        assert isinstance(half.submit(1, by=0).exception(), ZeroDivisionError)
        assert asyncio.run(later(1)) == later.submit(1).result() == 2
        with pytest.raises(ZeroDivisionError):
            half(1, by=0)
    assert len(current().database.runs()) == 1
    assert calls(lambda: half(6)) == 0


def test_off_within_a_loop() -> None:
    async def asked() -> list[int]:
        return [later.submit(1).result(), await later.submit(2), await later(3)]

    with offload.off():
        assert asyncio.run(asked()) == [2, 3, 4]


@pytest.mark.parametrize(("value", "count"), [("1", 2), ("0", 1), ("", 1)])
def test_off_from_outside(script: Script, monkeypatch: pytest.MonkeyPatch, value: str, count: int) -> None:
    monkeypatch.setenv("OFFLOAD_OFF", value)
    text = "import offload\n@offload.task(effects='ignore')\ndef f(x): print('ran'); return x\nf(1), f(1)\n"
    assert script.output(text) == "ran\n" * count


def test_one_call_anew() -> None:
    assert calls(lambda: (half(6), half.fresh(6), half.fresh(6), half(6))) == 3
    assert [run.outcome for run in current().database.runs()] == ["same", "same", "recorded"]
    assert calls(lambda: [asyncio.run(later(1)), asyncio.run(later.fresh(1)), asyncio.run(later(1))]) == 2
    assert Place(1).add.fresh(2) == Place(1).add(2) == 3


def test_one_call_anew_that_gives_something_else() -> None:
    results = iter([1, 2])

    @offload.task(version="1", effects="ignore", ignore=["source"])
    def number(source: object) -> int:
        return next(results)

    assert [number(None), number.fresh(None), number(None)] == [1, 2, 1]
    assert current().database.runs()[0].outcome == "irreproducible"


def test_rows_and_constants() -> None:
    with offload.off():  # how the rows are made is the same there
        assert offload.gather(half.map([2, 4], [1, 4])) == [2, 1]
        assert offload.gather(half.starmap([(2, 1), [4, 4]])) == [2, 1]
        assert offload.gather(half.starmap(([n] for n in (1, 2)), by=1)) == [1, 2]
        assert offload.gather(Place(10).add.map([1, 2], other=5)) == [16, 17]
        assert offload.gather(Place(10).add.starmap([(1, 2)])) == [13]
        assert half.starmap([]) == []
        with pytest.raises(ValueError, match="argument 2 is longer"):
            half.map([1], [1, 2])
