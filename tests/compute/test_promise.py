"""The promise in time: what is recorded was computed from what it is recorded under, whatever changes meanwhile."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import offload
from offload.api import submit
from offload.engines.base import InlineEngine
from offload.engines.batching import Batcher
from offload.errors import NotRecordedWarning, UsageError


@pytest.fixture
def inline(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Calls run in this process, in the batcher's thread."""
    batcher = Batcher(InlineEngine)
    monkeypatch.setattr(submit, "_dispatchers", {None: batcher})
    yield
    assert batcher.unfinished(10) == 0
    batcher.close()


def test_arguments_are_those_of_the_moment_of_the_call(inline: None) -> None:
    @offload.task
    def total(rows: list[int]) -> list[int]:
        return rows

    rows: list[int] = []
    futures = []
    for number in range(6):
        rows.append(number)
        futures.append(total.submit(rows))
    assert offload.gather(futures) == [list(range(n + 1)) for n in range(6)]
    assert total([0]) == [0]


def test_calls_of_a_batch_do_not_see_what_earlier_ones_have_changed(inline: None) -> None:
    script: dict[str, Any] = {"__name__": "counting"}
    exec("counter = 0\ndef f(n):\n    global counter\n    counter += 1\n    return counter, n\n", script)
    with pytest.warns(NotRecordedWarning, match="counter changed"):
        found = offload.gather(offload.task(script["f"]).map(range(30)))
    assert [n for _, n in found] == list(range(30))
    # Nothing of it is on record: each would have been computed from another counter than it is recorded under.
    script["counter"] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # with threads of pytest's own, this is not recorded either
        assert offload.task(script["f"])(29) == (1, 29)
    assert script["counter"] == 1


def test_a_global_that_another_thread_changes_meanwhile(home: Path) -> None:
    script: dict[str, Any] = {"__name__": "rates", "RATE": 1, "go": threading.Event, "steps": []}
    changed, reached = threading.Event(), threading.Event()

    def wait() -> None:
        reached.set()
        changed.wait(10)

    exec("RATE = 1\ndef f(x, wait):\n    wait()\n    return x * RATE\n", script)
    task = offload.task(script["f"])

    class Wait:
        def __call__(self) -> None:
            wait()

        def __reduce__(self) -> tuple[Any, ...]:
            return str, ("wait",)

    def change() -> None:
        reached.wait(10)
        script["RATE"] = 100
        changed.set()

    thread = threading.Thread(target=change)
    thread.start()
    with pytest.warns(NotRecordedWarning, match="RATE changed"):
        assert task(3, Wait()) == 300
    thread.join()
    script["RATE"] = 1
    assert task(3, Wait()) == 3


@dataclasses.dataclass
class Holder:
    """Something that holds a file, out of sight."""

    file: offload.File


def test_a_file_deep_within_an_argument_that_changes_meanwhile(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_text("before")

    @offload.task
    def read(holder: Any, other: str) -> str:
        text = Path(holder.file).read_text()
        if text == "before":
            Path(other).write_text("after")
        return text

    with pytest.warns(NotRecordedWarning, match="data.*changed while it was used"):
        assert read(Holder(offload.File(path)), str(path)) == "before"
    path.write_text("before!")
    assert read(Holder(offload.File(path)), str(path)) == "before!"


KEPT: list[int] = []


def keeping(number: int) -> int:
    KEPT.append(number)
    return KEPT[-1] + 1


def test_what_changed_is_named_with_the_line_that_called(home: Path) -> None:
    @offload.task
    def kept(number: int) -> int:
        return keeping(number)

    text = rf"kept: not recorded: {__name__}:keeping: KEPT.* changed while it was used"
    with pytest.warns(NotRecordedWarning, match=text) as caught:
        assert kept(1) == 2
    assert caught[0].filename == __file__


class Remembering:
    """A callable object that keeps what it has made, as parsers and renderers do."""

    def __init__(self) -> None:
        self.name = "it"
        self.known: list[int] = []

    def __call__(self, number: int) -> int:
        self.known.append(number)
        return number + 1


def test_what_changed_within_an_object_is_named_with_what_to_do(home: Path) -> None:
    text = r"Remembering: not recorded: Remembering\.known changed while it was used; if it only remembers.*ignore="
    with pytest.warns(NotRecordedWarning, match=text):
        assert offload.task(Remembering())(1) == 2


class Registry:
    """A class that is given members when they are first needed."""


def installing(number: int) -> int:
    setattr(Registry, f"member_{number}", number)
    return number


def test_a_class_that_has_changed_is_named(home: Path) -> None:
    @offload.task
    def install(number: int) -> int:
        assert isinstance(Registry, type)
        return installing(number)

    with pytest.warns(NotRecordedWarning, match="not recorded: Registry changed while it was used"):
        assert install(1) == 1


def test_with_a_version_what_an_object_remembers_does_not_count(home: Path) -> None:
    first, second = Remembering(), Remembering()
    assert offload.task(first, version="1")(1) == 2
    assert offload.task(second, version="1")(1) == 2
    assert first.known == [1]
    assert not second.known


@pytest.mark.real
def test_calls_that_wait_for_others_are_finished_at_the_end_of_a_script(home: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    text = (
        "import offload, sys, time\n"
        "@offload.task\n"
        "def first(n):\n    time.sleep(1)\n    return n\n"
        "@offload.task\n"
        "def second(n):\n    open(sys.argv[1], 'a').write('ran ')\n    return n + 1\n"
        "second.submit(first.submit(1))\n"
    )
    script.write_text(text.replace("sys.argv[1]", repr(str(tmp_path / "log"))))
    for _ in range(2):
        subprocess.run([sys.executable, script], check=True, timeout=100, stdin=subprocess.DEVNULL)
    assert (tmp_path / "log").read_text() == "ran "


@pytest.mark.parametrize("wrong", [[1], "no", 3])
def test_gather_takes_futures_only(wrong: Any) -> None:
    with pytest.raises((UsageError, TypeError)):
        offload.gather(wrong)


def test_gather_of_one_future_says_what_to_do(inline: None) -> None:
    future = offload.task(lambda: 1).submit()
    with pytest.raises(UsageError, match="list of futures"):
        offload.gather(future)  # type: ignore[call-overload]
    assert future.result(10) == 1
