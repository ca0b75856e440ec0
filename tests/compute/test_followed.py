"""What cannot be followed is said once; calls that mean the same are the same; what counts can be shown."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import offload
from offload.errors import UsageError
from offload.identity.functions import dynamic

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture(autouse=True)
def _nobody_told() -> None:
    dynamic._told.clear()


def made(text: str) -> Any:
    names: dict[str, Any] = {"__name__": "followed_app"}
    exec(text, names)
    return offload.task(names["f"])


HIDDEN = {
    "eval": "def f(x): return eval('x')",
    "exec": "def f(x): exec('y = x'); return x",
    "globals": "def f(x): return globals()['__name__']",
    "getattr with a computed name": "def f(x): return getattr(x, 're' + str('al'))",
    "__import__ with a computed name": "def f(x): return __import__('ma' + str('th')).pi",
    "import_module with a computed name": "import importlib\ndef f(x): return importlib.import_module(str('math')).pi",
    "pickle.loads": "import pickle\ndef f(x): return pickle.loads(pickle.dumps(x))",
    "sys.modules": "import sys\ndef f(x): return sys.modules['math'].pi",
    "sys._getframe": "import sys\ndef f(x): return sys._getframe().f_globals['__name__']",
    "locate with a computed name": "import pydoc\ndef f(x): return pydoc.locate(str('math')).pi",
    "gc.get_objects": "import gc\ndef f(x): return len(gc.get_objects()) * 0",
    "runpy.run_path": "def f(x):\n import runpy\n return runpy.run_path if x else 1",
}
HIDDEN_TOO = [
    ("import_module with a computed name", "from importlib import import_module as im\ndef f(x): return im('math').pi"),
    ("import_module with a computed name",
     "from importlib import import_module as i\ndef f(x): return i(str('math')).pi"),
    ("getattr with a computed name", "def f(x): return max(map(getattr, [x], ['real']))"),
    ("getattr with a computed name", "def f(x): return getattr(x, 'imag', 0) + getattr(x, str('real'), 1)"),
    ("getattr with a computed name", "def f(x): return [getattr(x, n) for n in ('real', 'imag')][0]"),
    ("getattr with a computed name", "def f(x): return getattr(x, 'real' if x else 'imag')"),
    ("getattr with a computed name", "def f(x): return getattr(x, f'{\"real\"}')"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "text"), [*HIDDEN.items(), *HIDDEN_TOO])
def test_what_cannot_be_followed_is_said_once_with_the_cure(what: str, text: str) -> None:
    task = made(text)
    with pytest.warns(RuntimeWarning) as caught:
        task(2)
    (message,) = [str(w.message) for w in caught]
    assert message.startswith(f"followed_app:f uses {what}")
    assert "depends_on=[...]" in message
    task(2), task(3)
    made(text)(4)


@pytest.mark.parametrize(
    "text",
    [
        "def f(x): return getattr(x, 'real')",
        "def f(x): return getattr(x, 'real', None)",
        "def f(x): return getattr(x if x else 1, 'real', x + 1 if x else max(x, 2))",
        "def f(x): return getattr(getattr(x, 'real'), 'imag', getattr(x, 'no', 1))",
        "import importlib\ndef f(x): return importlib.import_module('math').pi",
        "from importlib import import_module\ndef f(x): return import_module('math').pi",
        "def f(x): return __import__('math').pi",
        "import sys, pickle\ndef f(x): return sys.maxsize + len(pickle.dumps(x))",
        "def f(x):\n def globals(): return 1\n return globals()",
        "def f(x): return x.eval if not x else 1",
    ],
)
def test_no_false_alarm(text: str) -> None:
    made(text)(2)


def test_a_helper_of_a_helper_is_named() -> None:
    task = made("def g(x): return eval('x')\ndef h(x): return g(x)\ndef f(x): return h(x)")
    with pytest.warns(RuntimeWarning, match="followed_app:g uses eval"):
        task(1)


def test_the_order_of_keywords_does_not_count_and_is_the_same_in_the_function() -> None:
    task = made("def f(a=0, **rest): return list(rest)")
    assert task(c=1, b=2) == task(b=2, c=1) == ["b", "c"]
    assert offload.why(task, b=2, c=1, a=0).hit
    assert not offload.why(task, b=1, c=2).hit
    assert offload.task(partial(made("def f(**rest): return list(rest)").function, z=1))(y=1, x=2) == ["z", "x", "y"]


@pytest.mark.real
@pytest.mark.usefixtures("no_cluster")
def test_workers_get_keywords_in_the_same_order() -> None:
    task = made("def f(**rest): return list(rest)")
    assert task.submit(c=1, b=2).result(60) == ["b", "c"]


async def later() -> AsyncIterator[int]:
    yield 1


class Yielding:
    def __call__(self) -> Iterator[int]:
        yield 1

    def items(self) -> Iterator[int]:
        yield 1


@pytest.mark.parametrize("function", [later, Yielding(), Yielding().items, partial(later), lambda: (yield 1)])
def test_generators_of_every_form_are_refused(function: Any) -> None:
    with pytest.raises(UsageError, match="is a generator") as caught:
        offload.task(function)
    assert "list" in str(caught.value.hint)


def test_identity_shows_what_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFLOAD_TEST_RATE", "3")
    names: dict[str, Any] = {"__name__": "followed_app"}
    exec(
        "import math, numpy\nRATE = 2.5\nclass A:\n def m(self): return RATE\ndef g(x): return eval('x')\n"
        "def f(x): return g(x) * RATE + math.pi + A().m() + numpy.sum(x)\n",
        names,
    )
    task = offload.task(environ=["OFFLOAD_TEST_RATE"], depends_on=[[1, 2]])(names["f"])
    shown = offload.identity(task)
    parts = {(part.kind, part.name): part for part in shown.parts}
    assert ("function", "followed_app:g") in parts
    assert ("class", "followed_app:A") in parts
    assert parts["variable", "OFFLOAD_TEST_RATE"].value == "'3'"
    assert ("dependency", "[1, 2]") in parts
    assert ("distribution", "numpy") in parts
    assert ("interpreter", "cpython") in parts
    assert ("RATE", "2.5") in parts["function", "followed_app:f"].reads
    assert shown.unfollowed == ["followed_app:g: eval"]
    assert "RATE: 2.5" in str(shown)
    assert "not followed: followed_app:g: eval" in repr(shown)
    assert json.loads(json.dumps(shown.as_dict()))["checksum"] == shown.checksum
    plain = offload.identity(names["f"])
    assert plain.checksum != shown.checksum
    names["RATE"] = 3.5
    assert offload.identity(names["f"]).checksum != plain.checksum
    assert offload.identity(names["A"]).parts[0].name == "followed_app:A"


@pytest.mark.parametrize("before", ["", "import offload.identity\n", "import offload.identity.functions.graph\n"])
def test_identity_is_the_package_and_the_function(before: str, tmp_path: Path) -> None:
    text = before + (
        "import offload\nK = 1\ndef f(x): return K\none = offload.identity(f).checksum\n"
        "import offload.identity.calls\nassert offload.identity(f).checksum == one == offload.identity(f).checksum\n"
        "from offload import identity\nassert identity(f).checksum == one\n"
        "from offload.identity.functions.graph import Graph\nassert Graph(f).checksum == one\nprint('ok')\n"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.stdout == "ok\n", done.stderr


def test_a_change_that_does_not_count_does_not_keep_a_result_from_being_recorded() -> None:
    names: dict[str, Any] = {"__name__": "followed_app"}
    exec("def g(x): return x\ndef f(x): return g(x) + mark(g)\n", names)
    exec("def mark(function):\n setattr(function, 'seen', True)\n return 1\n", names)
    task = offload.task(names["f"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert task(1) == 2
    assert offload.why(task, 1).hit


def test_many_functions_are_told_in_one_line() -> None:
    helpers = "".join(f"def h{i}(x): return eval('x')\n" for i in range(5))
    task = made(helpers + "def f(x): return " + " + ".join(f"h{i}(x)" for i in range(5)))
    with pytest.warns(RuntimeWarning) as caught:
        assert task(1) == 5
    (text,) = [str(w.message) for w in caught]
    assert text.startswith("followed_app:h0 and 4 more that followed_app:f reaches use eval: what they get that way")
