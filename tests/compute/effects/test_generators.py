"""Calls that set the state of generators of the whole process: recalled, they do not."""

from __future__ import annotations

import random
import re
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import pytest

import offload
from offload.errors import EffectWarning

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    states = random.getstate(), np.random.get_state()
    yield
    random.setstate(states[0])
    np.random.set_state(states[1])


@offload.task
def by_random(n: int) -> float:
    random.seed(n)
    return random.random()


@offload.task
def by_numpy(n: int) -> float:
    np.random.seed(n)
    return float(np.random.rand())


@offload.task
def by_both(n: int) -> float:
    random.seed(n)
    np.random.seed(n)
    return random.random()


@pytest.mark.parametrize(
    ("task", "named"), [(by_random, "random"), (by_numpy, "numpy.random"), (by_both, "random and numpy.random")]
)
def test_it_is_told_once(task: Callable[[int], float], named: str) -> None:
    with pytest.warns(EffectWarning, match=re.escape(f"it set the state of {named}, which happens only when it is")):
        task(1)
    with warnings.catch_warnings():
        warnings.simplefilter("error", EffectWarning)
        task(1)
        task(2)


@offload.task
def draws(n: int) -> float:
    return n * random.random()


@offload.task
def own(n: int) -> float:
    return random.Random(n).random() + float(np.random.default_rng(n).random())


@offload.task
def puts_back(n: int) -> float:
    state = random.getstate()
    random.seed(n)
    try:
        return random.random()
    finally:
        random.setstate(state)


@pytest.mark.parametrize("task", [draws, own, puts_back])
def test_others_are_not(task: Callable[[int], float]) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        task(1)
    assert not [one for one in told if "it set the state" in str(one.message)]


def test_what_is_submitted_leaves_the_program_alone() -> None:
    state = random.getstate()
    with warnings.catch_warnings():
        warnings.simplefilter("error", EffectWarning)
        by_random.submit(5).result(60)
    assert random.getstate() == state
