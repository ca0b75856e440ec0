"""What type checkers say of tasks: read by `mypy --strict` in `test_types.py`, and never run.

An ignored error that is none would be one, so each says what has to be found.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, assert_type

import offload


@offload.task
def area(radius: float, *, scale: int = 1) -> float:
    """Be a task."""
    return scale * radius**2


@offload.task(version="1", resources={"GPU": 1})
def name(number: int) -> str:
    return str(number)


@offload.task
async def later(number: int) -> bytes:
    return bytes(number)


class Model:
    @offload.task
    def fit(self, rows: list[int]) -> int:
        return len(rows)

    @offload.task(ignore=["self"])
    async def serve(self, count: int) -> str:
        return "x" * count

    @staticmethod
    @offload.task
    def load(path: str) -> Model:
        return Model()


assert_type(area(2.0), float)
assert_type(area.fresh(2.0, scale=3), float)
assert_type(area.submit(2.0), offload.Future[float])
assert_type(area.submit(area.submit(2.0), scale=2).result(), float)
assert_type(offload.gather(area.map([1.0, 2.0], scale=2)), list[float])
assert_type(area.starmap([(1.0,)]), list[offload.Future[float]])
assert_type(name(1), str)
assert_type(name.map([1]), list[offload.Future[str]])
assert_type(offload.task(len)([1]), int)
coroutine: Coroutine[Any, Any, bytes] = later(1)
assert_type(asyncio.run(coroutine), bytes)
assert_type(later.submit(1), offload.Future[bytes])
assert_type(offload.gather(later.map([1])), list[bytes])
assert_type(Model().fit([1]), int)
assert_type(Model().fit.submit([1]), offload.Future[int])
assert_type(Model().fit.map([[1]]), list[offload.Future[int]])
assert_type(Model.fit(Model(), [1]), int)
assert_type(Model().serve.submit(1).result(), str)
assert_type(Model.load("x").fit([2]), int)
chosen: offload.Task[[int], str] = name
offload.why(area, 2.0)
offload.why(Model().fit, [1])

area("x")  # type: ignore[arg-type]
area(2.0, scael=1)  # type: ignore[call-arg]
name()  # type: ignore[call-arg]
Model().fit(1)  # type: ignore[arg-type]
wrong: str = area(2.0)  # type: ignore[assignment]
