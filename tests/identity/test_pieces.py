"""Whether values that code reaches are what they were: told by their pieces, and never when they are not."""

from __future__ import annotations

import array
import collections
import fractions
import gc
import importlib
import random
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

from offload.identity.functions import reflection
from offload.identity.functions.graph import Graph
from offload.identity.functions.graph_state import Watched


class Plain:
    def __init__(self, **names: object) -> None:
        vars(self).update(names)


class Slotted:
    __slots__ = ("x",)
    x: object


class Made:
    """What it is made of is told anew each time."""

    def __init__(self, parts: list[object]) -> None:
        self.parts = parts

    def __reduce__(self) -> Any:
        return Made, ([list(self.parts), {"parts": self.parts}, len(self.parts)],)


class Counts(dict[str, int]):
    pass


class Other:
    pass


def reader(value: object) -> FunctionType:
    names: dict[str, Any] = {"__name__": "app", "VALUE": value}
    exec("def f(): return VALUE", names)
    return names["f"]  # type: ignore[no-any-return]


def slotted(x: object) -> Slotted:
    made = Slotted()
    made.x = x
    return made


def cyclic() -> Plain:
    one = Plain(x=[1])
    one.self = one  # type: ignore[attr-defined]
    return one


CHANGES: dict[str, tuple[Callable[[], Any], Callable[[Any], object]]] = {
    "item": (lambda: [1, [2]], lambda v: v[1].append(3)),
    "swapped": (lambda: [[1], [2]], lambda v: v.reverse()),
    "equal": (lambda: [1, 2], lambda v: v.__setitem__(0, True)),
    "zero": (lambda: [0.0], lambda v: v.__setitem__(0, -0.0)),
    "key": (lambda: {"a": {"b": 1}}, lambda v: v["a"].update(c=1)),
    "order": (lambda: {"a": 1, "b": 2}, lambda v: v.update(a=v.pop("a"))),
    "member": (lambda: ({1, 2}, 3), lambda v: v[0].__ior__({5})),
    "same many": (lambda: {1, 2}, lambda v: (v.discard(1), v.add(7))),
    "attribute": (lambda: Plain(x=1), lambda v: setattr(v, "x", 2)),
    "deep": (lambda: Plain(x=(Plain(y=[Plain(z=1)]),)), lambda v: setattr(v.x[0].y[0], "z", 2)),
    "first attribute": (lambda: [Plain()], lambda v: setattr(v[0], "x", 2)),
    "namespace": (lambda: Plain(x=1), lambda v: setattr(v, "__dict__", {"x": 2})),
    "class": (lambda: Plain(x=1), lambda v: setattr(v, "__class__", Other)),
    "slot": (lambda: [slotted(1)], lambda v: setattr(v[0], "x", 2)),
    "made": (lambda: {"m": Made([1])}, lambda v: v["m"].parts.append(2)),
    "held by what is made": (lambda: Made([[1]]), lambda v: v.parts[0].append(2)),
    "mapping": (lambda: Counts(a=1), lambda v: v.update(a=2)),
    "default": (lambda: collections.defaultdict(list, a=[1]), lambda v: v["a"].append(2)),
    "deque": (lambda: collections.deque([[1]]), lambda v: v[0].append(2)),
    "buffer": (lambda: [bytearray(b"a")], lambda v: v[0].extend(b"b")),
    "array": (lambda: [array.array("d", [1.0])], lambda v: v[0].append(2.0)),
    "weak": (lambda: (one := Plain(x=1), [weakref.ref(one)]), lambda v: setattr(v[0], "x", 2)),
    "generator": (lambda: [random.Random(1)], lambda v: v[0].random()),
    "cyclic": (cyclic, lambda v: v.x.append(2)),
}


@pytest.mark.parametrize("name", list(CHANGES))
def test_a_change_somewhere_in_a_value_is_noticed(name: str) -> None:
    make, change = CHANGES[name]
    value = make()
    graph = Graph(reader(value))
    assert graph.is_current()
    change(value)
    assert not graph.is_current()
    assert Graph(graph.root).checksum != graph.checksum


@pytest.mark.parametrize("name", list(CHANGES))
def test_a_change_of_what_two_values_share_is_noticed(name: str) -> None:
    make, change = CHANGES[name]
    value = make()
    names: dict[str, Any] = {"__name__": "app", "ONE": Plain(x=value), "TWO": Plain(y=[value])}
    exec("def f(): return ONE, TWO", names)
    graph = Graph(names["f"])
    assert graph.is_current()
    change(value)
    assert not graph.is_current()


def test_an_equal_object_in_the_place_of_another_changes_nothing() -> None:
    value = Plain(x=[1.5, Plain(y="a")])
    graph = Graph(reader(value))
    for _ in range(2):
        value.x[:] = [float("1.5"), Plain(y="".join("a"))]  # type: ignore[attr-defined]
        assert graph.is_current()
    value.x[1].y = "b"  # type: ignore[attr-defined]
    assert not graph.is_current()


def test_what_stays_is_not_written_again(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = Plain(x=[fractions.Fraction(1, 3), (1, 2)], y={1, 2}, z=Counts(a=1), s=slotted(1), m=Made([1]))
    graph = Graph(reader({n: Plain(x=shared) for n in range(20)}))
    written: list[object] = []
    monkeypatch.setattr(Watched, "digest", lambda self, value: written.append(value))
    assert graph.is_current()
    assert not written


def test_a_value_counts_alike_however_it_is_reached() -> None:
    inner = Plain(x=[1, Plain(y=2)])

    def graph(text: str, inner: object) -> Graph:
        names: dict[str, Any] = {"__name__": "app", "INNER": inner, "OUTER": Plain(inner=inner)}
        exec(f"def f(): return {text}", names)
        return Graph(names["f"])

    one, other = graph("INNER, OUTER", inner), graph("INNER, OUTER", Plain(x=[1, Plain(y=2)]))
    assert one.checksum == other.checksum
    assert one.checksum != graph("INNER, OUTER", Plain(x=[1, Plain(y=3)])).checksum
    first, second = ({node[1]: node[2] for node in g.nodes[0].content[3]} for g in (graph("OUTER", inner), one))
    assert first["OUTER"] == second["OUTER"]


def test_modules_that_are_loaded_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a module registers when it is loaded counts the same whether the graph or somebody else has loaded it."""
    (tmp_path / "kept_by.py").write_text("TABLE = {}\ndef f(x):\n    import kept_late\n    return TABLE[x]\n")
    (tmp_path / "kept_late.py").write_text("import kept_by\nkept_by.TABLE['late'] = 1\nimport kept_later\n")
    (tmp_path / "kept_later.py").write_text("import kept_by\ndef g(): pass\nkept_by.TABLE['later'] = g\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    def graph() -> Graph:
        return Graph(importlib.import_module("kept_by").f)

    try:
        first = graph()
        assert first.is_current()
        assert graph().checksum == first.checksum
        assert any(node.label == "kept_later:g" for node in first.nodes)
    finally:
        for name in ("kept_by", "kept_late", "kept_later"):
            sys.modules.pop(name, None)


TEXT = "import inspect\nfrom many_b import g\ndef f(): return inspect.getsource(g)\n"


@pytest.mark.parametrize(("edit", "same"), [("# none\ndef g(): pass\n", False), ("def g(): pass\n", True)])
def test_in_large_graphs_source_text_counts_file_by_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edit: str, same: bool
) -> None:
    monkeypatch.setattr(reflection, "LARGE", 0)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "many_a.py").write_text(TEXT)
    (tmp_path / "many_b.py").write_text("def g(): pass\n")
    try:
        root = importlib.import_module("many_a").f
        graph = Graph(root)
        assert graph.is_current()
        (tmp_path / "many_b.py").write_text(edit)
        assert graph.is_current() is same
        assert (Graph(root).checksum == graph.checksum) is same
    finally:
        for name in ("many_a", "many_b"):
            sys.modules.pop(name, None)


def test_annotations_that_change() -> None:
    names: dict[str, Any] = {"__name__": "app"}
    exec("def g(x: int, y: 'str') -> None: pass\ndef f(): return g.__annotations__", names)
    graph = Graph(names["f"])
    assert graph.is_current()
    kept = dict(names["g"].__annotations__)
    names["g"].__annotations__["x"] = float
    assert not graph.is_current()
    names["g"].__annotations__ = kept
    assert graph.is_current()
    kept["x"] = kept.pop("x")
    assert not graph.is_current()


@pytest.mark.parametrize("kind", ["WeakValueDictionary()", "WeakKeyDictionary()", "WeakSet()", "ref"])
def test_what_only_weak_references_lead_to_is_not_kept(kind: str) -> None:
    names: dict[str, Any] = {"__name__": "app"}
    exec(f"import weakref\nclass A: pass\nall_of_them = weakref.{kind}\ndef f(): return list(all_of_them)", names)
    one, other = names["A"](), names["A"]()
    if kind == "ref":
        names["all_of_them"] = [weakref.ref(one), weakref.ref(other)]
    for number, made in enumerate((one, other)):
        made.inner = names["A"]()
        if kind == "WeakSet()":
            names["all_of_them"].add(made)
        elif kind == "WeakValueDictionary()":
            names["all_of_them"][number] = made
        elif kind == "WeakKeyDictionary()":
            names["all_of_them"][made] = number
    graph = Graph(names["f"])
    assert graph.is_current()
    inner = weakref.ref(other.inner)
    del other, made
    gc.collect()
    assert inner() is None
    assert not graph.is_current()
