"""Records of calls: how arguments are bound, what a record says, and that it is what `encode` would write."""

from __future__ import annotations

import functools
import hashlib
import inspect
import itertools
import operator
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offload.errors import EncodeError
from offload.identity.calls import RECORD_VERSION, Recorder, bind, distributions
from offload.identity.libraries.distributions import interpreter
from offload.identity.values.decode import decode
from offload.identity.values.encode import encode, identify

ONLY, EITHER, KEYWORD = ["a", "b"], ["c", "d"], ["e", "g"]


@st.composite
def functions(draw: st.DrawFn) -> Callable[..., Any]:
    """A function of any signature that up to six parameters, ``*args`` and ``**kwargs`` can make."""
    only = ONLY[: draw(st.integers(0, 2))]
    either = EITHER[: draw(st.integers(0, 2))]
    keyword = KEYWORD[: draw(st.integers(0, 2))]
    without = draw(st.integers(0, len(only + either)))
    positional = [name if i < without else f"{name}='{name}0'" for i, name in enumerate(only + either)]
    parts = positional[: len(only)] + (["/"] if only else []) + positional[len(only) :]
    more = draw(st.booleans())
    if more:
        parts.append("*args")
    elif keyword:
        parts.append("*")
    parts += [f"{name}='{name}0'" if draw(st.booleans()) else name for name in keyword]
    if draw(st.booleans()):
        parts.append("**kwargs")
    names: dict[str, Any] = {}
    exec(f"def f({', '.join(parts)}):\n    return locals()", names)
    made: Callable[..., Any] = names["f"]
    return made


@settings(max_examples=1000, deadline=None)
@given(
    functions(),
    st.lists(st.integers(), max_size=6),
    st.dictionaries(st.sampled_from([*ONLY, *EITHER, *KEYWORD, "h", "args", "x"]), st.integers(), max_size=5),
)
def test_binding_is_pythons(function: Callable[..., Any], args: list[int], kwargs: dict[str, int]) -> None:
    try:
        expected = function(*args, **kwargs)
    except TypeError:
        with pytest.raises(TypeError):
            bind(function, args, kwargs)
        return
    assert dict(bind(function, args, kwargs)) == expected


@settings(max_examples=300, deadline=None)
@given(functions(), st.lists(st.integers(), max_size=6), st.permutations([*EITHER, *KEYWORD]))
def test_positional_or_by_name_is_the_same(function: Callable[..., Any], args: list[int], names: list[str]) -> None:
    named = {name: 0 for name in names if name in inspect.signature(function).parameters}
    try:
        bound = inspect.signature(function).bind(*args, **named)
    except TypeError:
        return
    expected = Recorder("0" * 64, set()).record(bind(function, args, named))
    bound.apply_defaults()
    assert Recorder("0" * 64, set()).record(bind(function, bound.args, bound.kwargs)) == expected


def area(radius: float, scale: float = 1.0, *more: int, unit: str = "m", **rest: int) -> float:
    return radius


SAME: list[list[tuple[tuple[Any, ...], dict[str, Any]]]] = [
    [((2.0,), {}), ((), {"radius": 2.0}), ((2.0, 1.0), {}), ((2.0,), {"unit": "m"})],
    [((2.0, 4.0), {"unit": "m"}), ((), {"unit": "m", "scale": 4.0, "radius": 2.0})],
    [((2.0, 3.0), {}), ((2.0,), {"scale": 3.0})],
    [((2.0, 1.0, 5), {}), ((2.0, 1.0, 5), {"unit": "m"})],
    [((2,), {}), ((), {"radius": 2})],
    [((2.0,), {"z": 1, "y": 2})],
    [((2.0,), {"y": 2, "z": 1})],  # the function can see the order within **rest
    [((2.0,), {"unit": "cm"})],
    [((2.0, 1.0, 5, 6), {})],
    [((True,), {})],
    [(([2.0],), {})],
]  # fmt: skip


def test_calls_that_mean_the_same_are_the_same() -> None:
    recorder = Recorder("0" * 64, set())
    found = [{recorder.record(bind(area, args, kwargs))[0] for args, kwargs in group} for group in SAME]
    assert [len(group) for group in found] == [1] * len(SAME)
    assert len(set.union(*found)) == len(SAME)


@pytest.mark.parametrize(
    ("args", "kwargs", "words"),
    [
        ((), {}, "missing a required argument: 'radius'"),
        ((1.0,), {"radius": 2.0}, "multiple values for argument 'radius'"),
    ],
)
def test_calls_that_do_not_fit_are_type_errors(args: tuple[Any, ...], kwargs: dict[str, Any], words: str) -> None:
    with pytest.raises(TypeError, match=rf"^area\(\) {words}$"):
        bind(area, args, kwargs)
    with pytest.raises(TypeError, match=r"<lambda>\(\) got an unexpected keyword argument 'y'$"):
        bind(lambda x: x, (1,), {"y": 2})


class Scale:
    def __init__(self, k: int) -> None:
        self.k = k

    def __call__(self, x: int, y: int = 2) -> int:
        return self.k * x * y

    def method(self, x: int, y: int = 2) -> int:
        return x


@pytest.mark.parametrize(
    "function", [functools.partial(area, scale=2.0), Scale(2), Scale(2).method, Scale.method, sorted]
)
def test_other_callables(function: Callable[..., Any]) -> None:
    args = ([3],) if function is sorted else (1, 5) if function is Scale.method else (1,)
    expected = inspect.signature(function).bind(*args)
    expected.apply_defaults()
    assert dict(bind(function, args, {})) == expected.arguments


def test_a_callable_that_does_not_tell_its_signature() -> None:
    with pytest.raises(ValueError):
        inspect.signature(operator.itemgetter)
    assert bind(operator.itemgetter, (1,), {}) == [("args", (1,)), ("kwargs", {})]


VALUES = [1.5, 1, True, None, "a", "é" * 40, [1, 2], {"a": (1,)}, b"x", -0.0, 2**80, range(3), np.arange(3)]


@pytest.mark.parametrize("modules", [set(), {"numpy"}])
def test_the_record_is_the_encoding_of_a_plain_dict(modules: set[str]) -> None:
    recorder = Recorder("ab" * 32, modules)
    for count in (0, 1, 2, 30):
        values = list(itertools.islice(itertools.cycle(VALUES), count))
        bound = [(f"p{number}", value) for number, value in enumerate(values)]
        transformation, data, arguments, _ = recorder.record(bound)
        held: set[str] = set()
        checksums = {name: identify(value, held) for name, value in bound}
        record = {
            "version": RECORD_VERSION,
            "kind": "python",
            "function": "ab" * 32,
            "environment": {"interpreter": interpreter(), "distributions": distributions(modules | held)},
            "arguments": checksums,
        }
        assert data == encode(record)
        assert decode(data) == record
        assert transformation == hashlib.sha256(data).hexdigest()
        assert dict(arguments) == checksums


def distributions_of(*values: object) -> list[str]:
    data = Recorder("ab" * 32, set()).record([(f"p{n}", value) for n, value in enumerate(values)])[1]
    found: list[str] = decode(data)["environment"]["distributions"]
    return found


def test_the_distribution_of_an_arguments_type_counts() -> None:
    numpy, pandas = f"numpy=={np.__version__}", f"pandas=={pd.__version__}"
    assert distributions_of(1, "a", [2.0]) == []
    assert distributions_of(np.arange(3)) == [numpy]
    assert distributions_of([{"a": np.float64(1)}]) == [numpy]
    assert distributions_of(np.mean) == [numpy]
    assert pandas in distributions_of(pd.Series([1]))


def test_kinds_that_are_equal_in_python_stay_apart() -> None:
    found = [
        Recorder("ab" * 32, set()).record([("x", value)])[0] for value in (1, True, 1.0, "1", 0, False, 0.0, -0.0, None)
    ]
    assert len(set(found)) == len(found)


def test_an_argument_that_cannot_be_encoded_is_named() -> None:
    with pytest.raises(
        EncodeError, match=r"^argument lock: a _thread.lock can be neither encoded nor pickled"
    ) as caught:
        Recorder("ab" * 32, set()).record([("x", 1), ("lock", threading.Lock())])
    assert caught.value.hint


def tagged(**attributes: object) -> Callable[[], None]:
    def function() -> None:
        pass

    function.__dict__.update(attributes)
    return function


def test_attributes_of_functions_that_are_arguments_count() -> None:
    values: list[dict[str, object]] = [
        {},
        {"tag": 1},
        {"tag": 2},
        {"other": 1},
        {"tag": [1]},
        {"tag": tagged(a=1)},
        {"tag": tagged(a=2)},
    ]
    found = {identify([tagged(**one)]) for one in values}
    assert len(found) == len(values)
    assert identify(tagged(a=1, b=2)) == identify(tagged(b=2, a=1))
    assert identify(functools.partial(tagged(a=1))) != identify(functools.partial(tagged(a=2)))
    assert identify(tagged(lock=threading.Lock())) == identify(tagged())
