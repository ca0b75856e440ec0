"""One process: what changes while it runs is noticed, and what does not change costs little and grows nothing."""

from __future__ import annotations

import builtins
import colorsys
import functools
import importlib
import pkgutil
import runpy
import sched
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from offload.errors import IdentityError
from offload.identity.functions.graph import Graph
from offload.identity.functions.identify import closure
from offload.identity.values.encode import encode

APP = """
    from functools import singledispatch, lru_cache
    from types import SimpleNamespace
    import abc, colorsys, enum, functools, threading, weakref
    import helpers

    NUMBER = 1
    LIST = [1]
    CONFIG = SimpleNamespace(rate=1)

    class Base:
        scale = 1

    class A(Base):
        def method(self):
            return 1

    OBJECT = A()

    class Box:
        pass

    BOX = Box()

    def boxed(x):
        return Box.__annotations__, BOX

    def helper(x, y=1, *, z=1):
        return x + y + z

    helper.rate = 1

    @singledispatch
    def dispatched(x):
        return 1

    @lru_cache
    def cached(x):
        return helper(x)

    def counter():
        count = 1
        def get(x):
            return count
        def set(value):
            nonlocal count
            count = value
        return get, set

    get, set_count = counter()
    TABLE = {"a": helper, "b": cached}

    def number(x): return NUMBER
    def items(x): return LIST
    def config(x): return CONFIG.rate
    def calls(x): return helper(x)
    def object_of_class(x): return OBJECT.method()
    def class_of_base(x): return A.scale
    def class_of_base_too(x): return A.scale
    class Other:
        scale = 5
    def dispatches(x): return dispatched(x)
    def table(x): return TABLE[x](x)
    def attribute(x): return helper.rate
    def elsewhere(x): return helpers.RATE
    def octal(x): return oct(x)
    def all_of_it(x): return getattr(helpers, x)
    def docs(x): return helper.__doc__
    def attribute_of_a_local(x):
        h = helper
        return h.rate
    bound = functools.partial(helper, y=1)
    def partially(x): return bound(x)
    def library(x): return colorsys.rgb_to_yiq(x)
    class Kind(abc.ABC): pass
    def kinds(x): return isinstance(x, Kind), Kind.__subclasses__()
    def lazy(x): return helpers.LAZY
    class Local(threading.local): pass
    def weak(x): return REFERENCE().method()
    REFERENCE = weakref.ref(OBJECT)
    class Colour(enum.Enum):
        RED = 1
    def colour(x): return hasattr(Colour.RED, "extra")
    def tag_of_cached(x): return cached.tag
    cached.tag = 1
    def tag_of_partial(x): return bound.tag
    bound.tag = 1
    def late(x):
        try:
            return NOT_YET
        except NameError:
            return 0
"""


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    (tmp_path / "app.py").write_text(textwrap.dedent(APP))
    (tmp_path / "helpers.py").write_text("RATE = 1\ndef __getattr__(name):\n    return RATE\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(colorsys, "rgb_to_yiq", colorsys.rgb_to_yiq)  # as it was, afterwards
    yield importlib.import_module("app")
    del sys.modules["app"], sys.modules["helpers"]


def other_code(x: int, y: int = 1, *, z: int = 1) -> int:
    return x - y


KEPT: list[type] = []  # a class that nobody holds is no subclass any more, sooner or later


def derived(cls: type) -> type:
    return type("New", (cls,), {"__module__": "app"})


def assign(name: str, value: object) -> Callable[[Any], None]:
    return lambda app: setattr(app, name, value)


CHANGES: dict[str, list[Callable[[Any], object]]] = {
    "number": [assign("NUMBER", 2), assign("NUMBER", 1.0), assign("NUMBER", True), lambda app: delattr(app, "NUMBER")],
    "items": [lambda app: app.LIST.append(2), lambda app: app.LIST.clear(), assign("LIST", (1,))],
    "config": [lambda app: setattr(app.CONFIG, "rate", 2), lambda app: setattr(app.CONFIG, "more", 2)],
    "calls": [
        lambda app: setattr(app.helper, "__code__", other_code.__code__),
        lambda app: setattr(app.helper, "__defaults__", (2,)),
        lambda app: setattr(app.helper, "__kwdefaults__", {"z": 2}),
        lambda app: app.helper.__kwdefaults__.update(z=2),
        assign("helper", other_code),
        assign("helper", max),
    ],
    "object_of_class": [
        lambda app: setattr(app.OBJECT, "x", 1),
        lambda app: setattr(app.A, "method", lambda self: 2),
        lambda app: setattr(app.A, "__getattr__", lambda self, name: 2),
        lambda app: setattr(app.Base, "scale", 2),
    ],
    "class_of_base": [
        lambda app: setattr(app.Base, "scale", 2),
        lambda app: setattr(app.A, "scale", 2),
        lambda app: delattr(app.Base, "scale"),
    ],
    "dispatches": [lambda app: app.dispatched.register(int, lambda x: 2)],
    "table": [
        lambda app: app.TABLE.update(a=other_code),
        lambda app: app.TABLE.update(c=other_code),
        lambda app: setattr(app.helper, "__code__", other_code.__code__),
    ],
    "attribute": [lambda app: setattr(app.helper, "rate", 2), lambda app: delattr(app.helper, "rate")],
    "elsewhere": [lambda app: setattr(app.helpers, "RATE", 2), assign("helpers", ModuleType("helpers"))],
    "all_of_it": [lambda app: setattr(app.helpers, "RATE", 2), lambda app: setattr(app.helpers, "MORE", 2)],
    "get": [lambda app: app.set_count(2)],
    "late": [assign("NOT_YET", 1)],
    "docs": [lambda app: setattr(app.helper, "__doc__", "It helps.")],
    "attribute_of_a_local": [lambda app: setattr(app.helper, "rate", 2), lambda app: delattr(app.helper, "rate")],
    "partially": [lambda app: app.bound.keywords.update(y=2), lambda app: app.bound.keywords.update(z=2)],
    "library": [lambda app: setattr(app.colorsys, "rgb_to_yiq", other_code)],
    "kinds": [lambda app: app.Kind.register(app.Base), lambda app: KEPT.append(derived(app.Kind))],
    "colour": [lambda app: setattr(app.Colour.RED, "extra", 1)],
    "tag_of_cached": [lambda app: setattr(app.cached, "tag", 2), lambda app: setattr(app.cached, "more", 2)],
    "tag_of_partial": [lambda app: setattr(app.bound, "tag", 2)],
    "lazy": [lambda app: setattr(app.helpers, "RATE", 2)],
    "weak": [lambda app: setattr(app.OBJECT, "x", 2), lambda app: setattr(app.A, "method", lambda self: 2)],
    "class_of_base_too": [lambda app: setattr(app.A, "__bases__", (app.Other,))],
}


@pytest.mark.parametrize(
    ("name", "number"), [(name, number) for name, changes in CHANGES.items() for number in range(len(changes))]
)
def test_a_change_while_the_process_runs_is_noticed(app: Any, name: str, number: int) -> None:
    function = getattr(app, name)
    before = closure(function)
    assert before.is_current()
    assert closure(function) is before
    CHANGES[name][number](app)
    assert not before.is_current()
    after = closure(function)
    assert after is not before
    assert after.checksum != before.checksum
    assert after.is_current()


@pytest.mark.parametrize("name", list(CHANGES))
def test_what_does_not_change_stays_current_and_does_not_grow(app: Any, name: str) -> None:
    function = getattr(app, name)
    graph = Graph(function)
    sizes = [len(part) for part in (graph._names, graph._sizes, graph._cells, graph._values, graph.nodes)]
    for _ in range(3):
        assert graph.is_current()
    assert sizes == [len(part) for part in (graph._names, graph._sizes, graph._cells, graph._values, graph.nodes)]
    assert Graph(function).checksum == graph.checksum


def test_a_builtin_that_is_replaced_is_noticed(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = closure(app.octal)
    assert before.is_current()
    monkeypatch.setattr(builtins, "oct", other_code)
    assert not before.is_current()
    assert closure(app.octal).checksum != before.checksum
    monkeypatch.undo()
    assert before.is_current()


def test_a_new_builtin_is_noticed(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = closure(app.late)
    monkeypatch.setattr(builtins, "NOT_YET", 1, raising=False)
    assert not before.is_current()
    assert closure(app.late).checksum != before.checksum


def test_what_is_registered_with_a_librarys_singledispatch_function_counts(app: Any) -> None:
    # Of pkgutil, as functools.singledispatch functions of libraries are rare.
    function = executed("import pkgutil\ndef f(x): return pkgutil.iter_importer_modules(x)")
    before = closure(function)
    pkgutil.iter_importer_modules.register(app.Base, app.helper)  # type: ignore[attr-defined]
    registered = Graph(function)
    assert registered.checksum != before.checksum
    app.helper.__code__ = other_code.__code__
    assert not registered.is_current()
    assert closure(function).checksum not in (before.checksum, registered.checksum)


def test_what_is_put_into_a_class_of_a_library_is_noticed(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    function = executed("def f(x): return x.put_here")
    before = Graph(function).checksum
    monkeypatch.setattr(sched.scheduler, "put_here", app.helper, raising=False)
    with_it = closure(function)
    assert with_it.checksum != before
    app.helper.__defaults__ = (2,)
    assert not with_it.is_current()
    changed = closure(function)
    assert changed.checksum != with_it.checksum
    sched.scheduler.put_here = other_code  # type: ignore[attr-defined]
    assert not changed.is_current()


def test_a_member_of_a_librarys_class_that_the_project_replaces_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    def asks(event: Any) -> Any:
        return event.next_due()

    def members() -> list[str]:
        return [node.label for node in Graph(asks).nodes if node.kind == "member"]

    assert members() == []
    monkeypatch.setattr(sched.scheduler, "next_due", "not yet", raising=False)
    assert members() == []
    monkeypatch.setattr(sched.scheduler, "next_due", other_code)  # as many members, and no module was loaded
    assert members() == ["sched.scheduler.next_due"]


def test_use_changes_nothing(app: Any) -> None:
    before = [Graph(app.dispatches).checksum, Graph(app.table).checksum, Graph(app.cached).checksum]
    app.dispatches(1), app.dispatches("a"), app.cached(1), app.cached(2)
    assert [Graph(app.dispatches).checksum, Graph(app.table).checksum, Graph(app.cached).checksum] == before


def test_what_identifying_leaves_in_classes_is_no_change(app: Any) -> None:
    graph = Graph(app.boxed)
    assert graph.is_current()
    app.Box.other = 1
    assert not graph.is_current()


def test_a_value_that_becomes_cyclic_is_followed(app: Any) -> None:
    graph = closure(app.items)
    app.LIST.append(app.LIST)
    assert not graph.is_current()
    cyclic = closure(app.items)
    assert cyclic.is_current()
    assert cyclic.checksum != graph.checksum
    app.LIST[0] = 2
    assert not cyclic.is_current()


def test_a_value_that_comes_to_hold_what_has_no_identity_is_an_error_that_names_it(app: Any) -> None:
    graph = closure(app.items)
    app.LIST.append(number for number in [1])
    assert not graph.is_current()
    with pytest.raises(IdentityError, match=r"app:items: LIST reaches a builtins\.list that has no id") as caught:
        closure(app.items)
    assert caught.value.hint


def test_what_has_no_identity_is_named(app: Any) -> None:
    app.CONFIG.file = (number for number in [1])
    with pytest.raises(IdentityError, match=r"app:config: CONFIG\.rate reaches a types\.SimpleNamespace .*generator"):
        Graph(app.config)


def test_an_edit_of_the_file_after_the_import_does_not_count(app: Any) -> None:
    before = Graph(app.calls).checksum
    path = Path(app.__file__)
    path.write_text(path.read_text().replace("x + y + z", "x - y"))
    assert Graph(app.calls).checksum == before
    importlib.invalidate_caches()
    namespace = runpy.run_path(str(path))
    assert Graph(namespace["calls"]).checksum != before


def test_a_reload_counts(app: Any) -> None:
    graph = closure(app.calls)
    path = Path(app.__file__)
    path.write_text(path.read_text().replace("x + y + z", "x - y + 22"))
    importlib.reload(app)
    assert closure(app.calls).checksum != graph.checksum


CODE = "import math\nK = 2\ndef g(x):\n 'It.'\n return x * K\ndef f(x): return g(x) + math.pi\n"


def executed(text: str) -> Callable[..., Any]:
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(text, names)
    found: Callable[..., Any] = names["f"]
    return found


def test_code_from_exec() -> None:
    assert Graph(executed(CODE)).checksum == Graph(executed("\n\n" + CODE)).checksum
    assert Graph(executed(CODE)).checksum != Graph(executed(CODE.replace("x * K", "x + K"))).checksum
    assert Graph(executed(CODE)).checksum != Graph(executed(CODE.replace("K = 2", "K = 3"))).checksum


SHOW = "from offload.identity.functions.graph import Graph; print(Graph(f).checksum)\n"
CLASSES = """
import logging, dataclasses, enum
log = logging.getLogger(__name__)
class E(enum.Enum):
    A = 1
@dataclasses.dataclass
class D:
    n: int = 1
def f(x):
    class Inner:
        'Within.'
        y = 2
    log.info("x")
    return D(Inner.y), E.A
"""


@pytest.mark.parametrize("text", [CODE, CLASSES], ids=["functions", "classes"])
def test_a_script_a_module_a_prompt_and_a_string_are_the_same(tmp_path: Path, text: str) -> None:
    (tmp_path / "app.py").write_text(text + SHOW)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "other.py").write_text("\n# moved\n" + text + SHOW)

    def shown(*arguments: str, cwd: Path = tmp_path, input: str = "") -> str:
        command = [sys.executable, "-B", *arguments]
        done = subprocess.run(command, cwd=cwd, input=input, capture_output=True, text=True, check=True, timeout=60)
        return done.stdout

    found = {
        shown("app.py"),
        shown("-m", "app"),
        shown("-c", "import app"),
        shown("-c", text + SHOW),
        shown("-c", "import other", cwd=tmp_path / "elsewhere"),
        shown("-", input=text + SHOW),
        shown("-i", "-q", "-c", text, input=SHOW),
        shown("-X", "importtime", "-X", "dev", "-W", "ignore", "app.py"),
    }
    assert len(found) == 1, found
    assert len(found.pop()) == 65
    if text == CODE:
        assert len({shown("-O", "app.py"), shown("app.py")}) == 1


def test_two_functions_in_a_circle_have_one_identity_each() -> None:
    def even(n: int) -> bool:
        return n == 0 or odd(n - 1)

    def odd(n: int) -> bool:
        return n != 0 and even(n - 1)

    assert Graph(even).checksum != Graph(odd).checksum
    assert len(Graph(even).nodes) == len(Graph(odd).nodes) == 2


def test_strings_that_name_functions_in_a_circle() -> None:
    names: dict[str, Any] = {"__name__": __name__}
    text = """
def even(n): return eval("n == 0 or odd(n - 1)")
def odd(n): return eval("n != 0 and even(n - 1)")
def refused(n): return eval("even(n) or STREAM")
STREAM = open(os.devnull)
def asks(n): return eval("refused(n) or even(n)")
"""
    exec("import os\n" + text, names)
    with names["STREAM"]:
        assert [node.label.rpartition(":")[2] for node in Graph(names["even"]).nodes] == ["even", "odd"]
        asking = Graph(names["asks"])
    assert {node.label.rpartition(":")[2] for node in asking.nodes} == {"asks", "refused", "even", "odd"}
    before = asking.checksum
    names["odd"].__code__ = other_code.__code__
    assert Graph(names["asks"]).checksum != before


def test_partials_of_partials() -> None:
    def add(x: int, y: int) -> int:
        return x + y

    assert Graph(functools.partial(add, 1)).checksum == Graph(functools.partial(add, 1)).checksum
    assert Graph(functools.partial(add, 1)).checksum != Graph(functools.partial(add, True)).checksum


def test_what_counts_of_a_node_is_kept_encoded(app: Any) -> None:
    graph = Graph(app.calls)
    parts = [graph.content, [[node.kind, node.content] for node in graph.nodes]]
    assert graph.canonical() == encode(parts)
    assert graph.checksum == sha256(encode(parts)).hexdigest()
