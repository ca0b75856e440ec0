"""What others ask of a task as they ask of a function, and what is said where something goes wrong."""

from __future__ import annotations

import asyncio
import inspect
import traceback
from typing import Any

import pytest

import offload
from offload.errors import EncodeError, IdentityError, OffloadError

pytestmark = pytest.mark.usefixtures("home")


class Shape:
    @offload.task
    def area(self, x: int, y: int = 2) -> int:
        return x * y

    @offload.task
    async def later(self, x: int) -> int:
        return x


@offload.task
async def waits(x: int) -> int:
    return x


@offload.task
def plain(x: int) -> int:
    return x


def test_coroutine_functions() -> None:
    one: Any
    for one in (waits, Shape.later, Shape().later):
        assert inspect.iscoroutinefunction(one)
        assert asyncio.run(one(*([Shape()] if one is Shape.later else []), 3)) == 3
    for other in (plain, Shape.area, Shape().area):
        assert not inspect.iscoroutinefunction(other)


def test_signatures() -> None:
    assert str(inspect.signature(Shape().area)).replace("'", "") == "(x: int, y: int = 2) -> int"
    assert list(inspect.signature(Shape.area).parameters) == ["self", "x", "y"]
    assert Shape().area.__name__ == "area"
    assert repr(Shape().area) == f"<offload.task {__name__}:Shape.area of a Shape>"
    assert not hasattr(Shape().area, "__code")


def test_an_explanation_shows_itself() -> None:
    explanation = offload.why(plain, 1)
    assert repr(explanation) == explanation.text()


NOTHING = (x for x in [1])


@offload.task
def reaches() -> Any:
    return NOTHING


class Broken:
    def __reduce__(self) -> Any:
        raise ValueError("no")


@pytest.mark.parametrize(
    ("task", "arguments"),
    [(reaches, ()), (plain, ([[[NOTHING]]],)), (plain, (Broken(),))],
    ids=["global", "inside", "pickling"],
)
@pytest.mark.parametrize("how", ["call", "submit"])
def test_an_error_of_identity_is_short(task: Any, arguments: tuple[Any, ...], how: str) -> None:
    with pytest.raises(OffloadError) as caught:
        (task if how == "call" else task.submit)(*arguments)
    assert isinstance(caught.value, (EncodeError, IdentityError))
    files = [frame.filename for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert not any("/offload/identity/" in file for file in files)
    assert "direct cause" not in "".join(traceback.format_exception(caught.value))
