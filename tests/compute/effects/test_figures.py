"""Figures of pyplot that an earlier call, or the program, has left open: what draws into them is not recorded."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

import offload
from offload.errors import NotRecordedWarning

pytest.importorskip("matplotlib").use("agg")
plt: Any = pytest.importorskip("matplotlib.pyplot")

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    plt.close("all")
    yield
    plt.close("all")


@offload.task
def lines(n: int) -> int:
    plt.plot([1, n])
    return len(plt.gca().lines)


@offload.task
def bytes_drawn(n: int) -> int:
    plt.title(str(n))
    file = io.BytesIO()
    plt.savefig(file)
    return len(file.getvalue())


@offload.task
def by_number(n: int) -> int:
    return len(plt.figure(1).axes) + n


@offload.task
def closes_all(n: int) -> int:
    plt.close("all")
    return n


@offload.task
def own(n: int) -> int:
    figure, axes = plt.subplots()
    axes.plot([1, n])
    plt.title("one")
    found = len(plt.gcf().axes)
    plt.close(figure)
    return found


@offload.task
def left_open(n: int) -> int:
    plt.figure()
    plt.plot([1, n])
    return inner(n)


@offload.task
def inner(n: int) -> int:
    plt.plot([1, n])
    return len(plt.gca().lines)


@pytest.mark.parametrize("task", [lines, bytes_drawn, by_number, closes_all])
def test_what_uses_a_figure_that_was_open_is_told(task: Any) -> None:
    plt.plot([1, 2])
    with pytest.warns(NotRecordedWarning, match=r"figure 1 of pyplot"):
        task(3)
    assert not offload.why(task, 3).hit
    plt.close("all")
    task(3)
    assert offload.why(task, 3).hit
    plt.close("all")


def test_a_call_after_another_one_that_left_its_figure_open() -> None:
    assert lines(1) == 1
    with pytest.warns(NotRecordedWarning, match="plt.close"):
        assert lines(2) == 2
    plt.close("all")
    assert lines(2) == 1
    assert offload.why(lines, 1).hit and offload.why(lines, 2).hit


def test_a_figure_of_its_own_is_nothing_of_others() -> None:
    plt.plot([1, 2])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert own(5) == 1
    assert offload.why(own, 5).hit and plt.get_fignums() == [1]


def test_the_figure_of_a_call_around_another_one() -> None:
    with pytest.warns(NotRecordedWarning, match="inner"):
        assert left_open(3) == 2
    assert not offload.why(inner, 3).hit
    assert offload.why(left_open, 3).hit
