"""Calls in this process: computed once, recalled after, with the right value."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import offload
from offload.errors import EncodeError, NotRecordedWarning
from offload.registry import session
from tests.compute.conftest import Log, Script

pytestmark = pytest.mark.usefixtures("home")


def mark(path: str) -> None:
    with open(path, "ab") as file:
        file.write(b".")


@offload.task
def add(log: str, a: Any, b: Any = 1, *rest: Any, scale: int = 1, **more: Any) -> Any:
    mark(log)
    return (a + b + sum(rest)) * scale


@offload.task
def echo(log: str, value: Any) -> Any:
    mark(log)
    return value


def test_a_call_is_computed_once(log: Log) -> None:
    assert [add(log.path, 1, 2) for _ in range(3)] == [3, 3, 3]
    assert log.runs == 1


def test_the_same_call_in_other_words(log: Log) -> None:
    assert add(log.path, 1) == add(log.path, 1, 1) == add(a=1, b=1, log=log.path) == add(log.path, 1, scale=1) == 2
    assert log.runs == 1


def test_other_arguments_are_other_calls(log: Log) -> None:
    values = [add(log.path, 1), add(log.path, 2), add(log.path, 1.0), add(log.path, True), add(log.path, 1, 1, 1)]
    assert values == [2, 3, 2.0, 2, 3]
    assert [type(v) for v in values] == [int, int, float, int, int]
    assert add(log.path, 1, x=5) == 2
    assert log.runs == 6


def test_recalled_in_a_fresh_process(script: Script, log: Log) -> None:
    text = """
import offload, sys
@offload.task
def double(log, x):
    open(log, "a").write(".")
    return [2 * x]
print(double(sys.argv[1], 21))
"""
    assert script.output(text, log.path) == "[42]\n"
    assert script.output(text, log.path) == "[42]\n"
    assert log.runs == 1


def test_a_call_loads_little(script: Script) -> None:
    text = """
import offload, sys

@offload.task
def add(x):
    return x + 1

add(int(sys.argv[1]))
print(*sys.modules)
"""
    assert not {"multiprocessing", "subprocess", "socket", "difflib"}.intersection(script.output(text, "1").split())
    again = {"cloudpickle", "inspect", "dis", "difflib", "json", "offload.transport.pickling"}
    assert not again.intersection(script.output(text, "2").split())


def test_a_changed_function_is_another(script: Script, log: Log) -> None:
    text = """
import offload, sys
def helper(x): return 2 * x
@offload.task
def double(log, x):
    open(log, "a").write(".")
    return helper(x)
print(double(sys.argv[1], 21))
"""
    assert script.output(text, log.path) == "42\n"
    assert script.output(text.replace("2 * x", "3 * x"), log.path) == "63\n"
    assert script.output("# a comment\n" + text, log.path) == "42\n"
    assert log.runs == 2


@pytest.mark.parametrize(
    "value",
    [None, False, 0, "", b"", [], (), {}, set(), float("inf"), 2**70, "é\ud800", {"a": [(1, 2.5)]}, b"x" * 200_000],
    ids=lambda v: f"{type(v).__name__} {str(v)[:9]!a}",
)
def test_results_come_back_as_they_were(log: Log, value: object) -> None:
    first, second = echo(log.path, value), echo(log.path, value)
    assert first == second == value
    assert type(second) is type(value)
    assert log.runs == 1


def test_large_arrays(log: Log) -> None:
    array = np.arange(300_000, dtype="f4").reshape(300, 1000)
    for _ in range(2):
        result = echo(log.path, array[:, ::2])
        assert result.dtype == array.dtype
        np.testing.assert_array_equal(result, array[:, ::2])
    assert log.runs == 1
    result[0, 0] = 7  # what was recalled is the user's own
    assert echo(log.path, array[:, ::2])[0, 0] == 0


def test_what_was_recalled_can_be_changed(log: Log) -> None:
    echo(log.path, [1]).append(2)
    echo(log.path, [1]).append(3)
    assert echo(log.path, [1]) == [1]


@offload.task
def ring(log: str) -> list[Any]:
    mark(log)
    result: list[Any] = [1]
    result.append(result)
    return result


def test_results_with_cycles(log: Log) -> None:
    for _ in range(2):
        result = ring(log.path)
        assert result[1] is result
    assert log.runs == 1


class Edge:
    def __init__(self) -> None:
        self.weight = 1


@offload.task
def shared(log: str) -> Any:
    mark(log)
    items, edge, number = [1], Edge(), {"a": 1}
    twice = {"items": [items, items], "numbers": (number, number), "long": [[*range(99)]] * 2}
    return {1: {2: edge}, 2: {1: edge}, **twice}


def test_results_with_a_part_in_two_places_come_back_so(log: Log) -> None:
    for _ in range(2):
        result = shared(log.path)
        assert result[1][2] is result[2][1]
        assert result["items"][0] is result["items"][1]
        assert result["numbers"][0] is result["numbers"][1]
        assert result["long"][0] is result["long"][1]
    assert log.runs == 1
    echo(log.path, result)
    echo(log.path, shared(log.path))
    assert log.runs == 2


@offload.task
def unpicklable(log: str) -> Any:
    mark(log)
    return threading.Lock()


def test_unpicklable_results_are_returned(log: Log) -> None:
    for _ in range(2):
        with pytest.warns(NotRecordedWarning, match="unpicklable: the result is not recorded"):
            assert unpicklable(log.path).acquire()
    assert log.runs == 2


def test_the_warning_points_at_the_call(log: Log) -> None:
    with pytest.warns(NotRecordedWarning) as caught:
        unpicklable(log.path)
    assert caught[0].filename == __file__


class Odd:
    """Encodes for arguments, refuses as a result."""

    def __init__(self, fail: bool) -> None:
        self.fail = fail


def _encode_odd(odd: Odd) -> object:
    if odd.fail:
        raise ValueError("no encoding today")
    return 1


def _decode_odd(state: object) -> Odd:
    raise KeyError("gone")


offload.register(Odd, encode=_encode_odd, decode=_decode_odd)


@offload.task
def make_odd(log: str, fail: bool) -> Odd:
    mark(log)
    return Odd(fail)


def test_a_registered_encoding_that_fails(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Odd, "__reduce__", lambda self: 1 / 0)
    with pytest.warns(NotRecordedWarning, match="no encoding today"):
        assert make_odd(log.path, True).fail


def test_a_registered_decoding_that_fails(log: Log) -> None:
    for _ in range(2):
        with pytest.warns(NotRecordedWarning, match="cannot be rebuilt.*gone"):
            assert make_odd(log.path, False).fail is False
    assert log.runs == 2


def test_the_class_of_a_result_is_gone(script: Script) -> None:
    script.write("shapes.py", "class Circle:\n    r = 1\n")
    text = """
import offload, importlib, sys, warnings
@offload.task(version="1")
def make(): return getattr(importlib.import_module("shapes"), "Circle", dict)()
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    print(type(make()).__name__, [str(one.message) for one in caught])
"""
    assert script.output(text) == "Circle []\n"
    (script.path / "shapes.py").write_text("")
    told = script.output(text)
    assert told.startswith(
        "dict ['__main__:make: computed again: the recorded result cannot be decoded: shapes:Circle is not"
    )
    assert script.output(text) == "dict []\n"


def test_unpicklable_arguments(log: Log) -> None:
    with pytest.raises(EncodeError, match=r"argument b:.*lock") as caught:
        add(log.path, 1, threading.Lock())
    assert caught.value.hint
    assert log.runs == 0


def test_arguments_with_cycles(log: Log) -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(EncodeError, match=r"argument value:.*contains itself"):
        echo(log.path, loop)


def test_wrong_arguments_are_pythons_own_error(log: Log) -> None:
    with pytest.raises(TypeError, match="missing a required argument: 'a'"):
        add(log.path)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="got an unexpected keyword argument 'nope'"):
        echo(log.path, 1, nope=2)  # type: ignore[call-arg]


@offload.task
def fail(log: str, kind: str) -> None:
    mark(log)
    raise {"value": ValueError, "exit": SystemExit, "interrupt": KeyboardInterrupt}[kind]("on purpose")


@pytest.mark.parametrize(
    ("kind", "error"), [("value", ValueError), ("exit", SystemExit), ("interrupt", KeyboardInterrupt)]
)
def test_exceptions_pass_and_are_not_recorded(log: Log, kind: str, error: type[BaseException]) -> None:
    for _ in range(2):
        with pytest.raises(error) as caught:
            fail(log.path, kind)
        assert type(caught.value) is error
        assert caught.value.args == ("on purpose",)
    assert log.runs == 2


@offload.task(scratch=True)
def scratch(log: str, size: int) -> bytes:
    mark(log)
    return b"s" * size


@pytest.mark.parametrize("size", [10, 200_000])
def test_scratch_results_are_noted_and_not_kept(log: Log, size: int) -> None:
    for _ in range(2):
        assert scratch(log.path, size) == b"s" * size
    assert log.runs == 2
    now = session.current()
    runs = now.database.runs()
    assert [(r.status, r.outcome) for r in runs] == [("scratch", "same"), ("scratch", "recorded")]
    assert now.store.has([runs[0].result]) == [False]


class Grumpy(list[int]):
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


@pytest.mark.parametrize("value", [10**5000, Grumpy([1]), [10**5000]], ids=["long int", "repr raises", "in a list"])
def test_arguments_that_cannot_be_shown(log: Log, value: Any) -> None:
    for _ in range(2):
        assert echo(log.path, value) == value
    assert log.runs == 1


def test_the_record_of_a_run(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    from offload.identity.values.decode import decode

    before = time.time()
    add(log.path, 1)
    (run,) = session.current().database.runs()
    assert run.label == "tests.compute.test_calls:add"
    assert run.kind == "python"
    assert before <= run.started <= time.time()
    details = decode(run.details)
    assert {"host", "pid", "user", "directory", "python", "offload", "parts", "arguments"} <= set(details)
    assert [(name, kind, text) for name, _, kind, text in details["arguments"]][1:3] == [
        ("a", "int", "1"),
        ("b", "int", "1"),
    ]


def test_the_working_directory_is_gone(log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert add(log.path, 1) == add(log.path, 1) == 2
    assert log.runs == 1


def test_many_threads_call_at_once(log: Log) -> None:
    found: list[Any] = []

    def work() -> None:
        for number in range(20):
            found.append((number, add(log.path, number)))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 160
    assert all(value == number + 1 for number, value in found)
    runs = log.runs
    assert [add(log.path, n) for n in range(20)] == list(range(1, 21))
    assert log.runs == runs


FACTOR = [2]


@offload.task
def scaled(log: str, x: int) -> int:
    mark(log)
    return x * FACTOR[0]


@pytest.fixture
def factor() -> Iterator[list[int]]:
    yield FACTOR
    FACTOR[:] = [2]


def test_a_changed_global_is_another_call(log: Log, factor: list[int]) -> None:
    assert [scaled(log.path, 1), scaled(log.path, 1)] == [2, 2]
    factor[0] = 3
    assert [scaled(log.path, 1), scaled(log.path, 1)] == [3, 3]
    factor[0] = 2
    assert scaled(log.path, 1) == 2
    assert log.runs == 2


def test_functions_of_a_prompt(log: Log) -> None:
    # What a prompt or a notebook defines has no file.
    for body, value in ("x + 1", 2), ("x + 2", 3), ("x + 1", 2):
        names: dict[str, Any] = {"__name__": "__main__", "offload": offload, "mark": mark}
        exec(f"@offload.task\ndef step(log, x):\n    mark(log)\n    return {body}\n", names)
        assert names["step"](log.path, 1) == value
    assert log.runs == 2
