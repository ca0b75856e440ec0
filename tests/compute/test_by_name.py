"""Modules of a project that workers see are imported there: classes are themselves, and what a module holds works."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from offload.snapshots.locate import seen_here
from offload.transport import imports
from offload.transport.importing import is_importing
from offload.transport.imports import differing, using
from offload.transport.sources import Found, Sources, checksum_of, found_at
from tests.compute.conftest import Script
from tests.conftest import Offload

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("home")]

KINDS = """
import collections, contextvars, dataclasses, enum, functools, threading, typing

LOCK = threading.RLock()
EVENT = threading.Event()
LOCAL = threading.local()
DEPTH = contextvars.ContextVar("depth", default=3)
NAMES = collections.defaultdict(lambda: 5)

@dataclasses.dataclass(slots=True, frozen=True, order=True)
class Point:
    x: int

class Planet(enum.Enum):
    EARTH = (5.97, 6.37)
    def __init__(self, mass, radius):
        self.mass = mass

class Flag(enum.Flag):
    A = enum.auto()
    B = enum.auto()

class Pair(typing.NamedTuple):
    left: int
    right: int

class Trouble(Exception):
    def __init__(self, code, *, detail):
        super().__init__(code)
        self.detail = detail

class Meta(type):
    registry = {}
    def __new__(mcs, name, bases, space):
        made = super().__new__(mcs, name, bases, space)
        mcs.registry[name] = made
        return made

class Base(metaclass=Meta):
    def __init_subclass__(cls): cls.tag = cls.__name__.lower()

class Child(Base):
    def whoami(self): return super().__repr__.__name__ + self.tag + str(len(Meta.registry))

class Square:
    __slots__ = ("side", "__dict__")
    def __init__(self, side): self.side = side
    @functools.cached_property
    def area(self): return self.side ** 2
    @functools.singledispatchmethod
    def times(self, n): return "other"
    @times.register
    def _(self, n: int): return n * self.side

@functools.lru_cache
def table(n): return n * 2

@functools.singledispatch
def kind(x): return "other"

@kind.register
def _(x: int): return "int"

def guarded(n):
    with LOCK:
        return getattr(LOCAL, "n", n) + DEPTH.get() + NAMES.default_factory()

def fail(n): raise Trouble(n, detail="as it was")
"""

PROGRAM = """
import offload, lib, sys
from lib import Point, Planet, Flag, Pair, Trouble, Child, Square

class Own:
    __slots__ = ("x",)
    def __init__(self, x): self.x = x
    def __eq__(self, other): return isinstance(other, Own) and self.x == other.x

@offload.task
def points(n, p): return [Point(n), p, p == Point(1), isinstance(p, Point), max(p, Point(n))]
@offload.task
def members(planet, flag): return [planet, planet is Planet.EARTH, planet.mass, flag, flag & Flag.A == Flag.A]
@offload.task
def pairs(pair): return Pair(*reversed(pair))
@offload.task
def caches(n): return [lib.table(n), Square(n).area, Square(n).times(3), lib.kind(n), lib.guarded(n), Child().whoami()]
@offload.task
def matched(p):
    match p:
        case Point(x=1): return "one"
        case _: return "another"
@offload.task
def owned(own): return [own, isinstance(own, Own), type(own) is Own]
@offload.task
def failing(n): return lib.fail(n)

def main():
    p, own = Point(1), Own(4)
    found = offload.gather([points.submit(2, p), members.submit(Planet.EARTH, Flag.A | Flag.B),
        pairs.submit(Pair(1, 2)), caches.submit(2), matched.submit(p), owned.submit(own)])
    assert found == [[Point(2), p, True, True, Point(2)], [Planet.EARTH, True, 5.97, Flag.A | Flag.B, True],
        Pair(2, 1), [4, 4, 6, "int", 10, "__repr__child2"], "one", [own, True, True]], found
    assert all(type(q) is Point for q in found[0][:2]) and found[1][0] is Planet.EARTH and type(found[2]) is Pair
    assert type(found[5][0]) is Own
    try:
        failing.submit(3).result()
    except Trouble as error:
        print("caught", error.args, error.detail)

if __name__ == "__main__":
    main()
"""


def test_kinds_on_a_cluster_of_ones_own(script: Script) -> None:
    script.write("lib.py", KINDS)
    for _ in range(2):
        assert script.output(PROGRAM) == "caught (3,) as it was\n"


@pytest.fixture
def deployment(offload: object, monkeypatch: pytest.MonkeyPatch) -> object:
    done = offload("up", "--name", "one", "--workers", "1")  # type: ignore[operator]
    assert done.returncode == 0, done.stderr
    monkeypatch.setenv("OFFLOAD_DEPLOYMENT", "one")
    yield
    monkeypatch.delenv("OFFLOAD_DEPLOYMENT")
    assert offload("down", "one").returncode == 0  # type: ignore[operator]


NAMELESS = """
import collections, dataclasses, enum, pydantic, typing

Pair = collections.namedtuple("Couple", "left right")
Made = dataclasses.make_dataclass("Made", ["x"])
Light = enum.Enum("Colour", "RED GREEN")

def marked(cls):
    class Marked(cls):
        mark = True
    return Marked

@marked
class Decorated:
    pass

def make():
    class Inner:
        class Deep: pass
    return Inner

Inner = make()
class Holds:
    Deep = Inner.Deep

class Hidden: pass
first = Hidden
class Hidden(Hidden): pass

class Trouble(Exception): pass
trouble, Trouble = Trouble, Exception

T = typing.TypeVar("T")
class Box(pydantic.BaseModel, typing.Generic[T]):
    held: T

negated = lambda x: -x
"""

BY_OTHER_NAMES = """
import offload, lib
from lib import *

@offload.task
def made(n):
    shared = [n]
    return [Pair(n, 2), Made(n), Light.RED, Decorated(), Inner(), Holds.Deep(), first(), Hidden(), Box[int](held=n),
        Box[Box[int | None]](held=Box[int | None](held=None)), Box[str], negated, *([shared, shared] if n else [])]
@offload.task
def same(values):
    kinds = [Pair, Made, Light, Decorated, Inner, Holds.Deep, first, Hidden, Box[int], Box[Box[int | None]]]
    return [type(value) is kind for value, kind in zip(values, kinds, strict=True)]
@offload.task
def held(cls, function): return cls is Box[str] and function is negated
@offload.task
def failing(): raise lib.trouble("as it was")

if __name__ == "__main__":
    for n in (0, 1):
        found = made.submit(n).result()
        assert all(same.function(found[:10])), found
        assert found[0] == Pair(n, 2) and found[8] == Box[int](held=n)
        assert found[10] is Box[str] and found[11] is negated
        assert all(same.submit(found[:10]).result()) and held.submit(*found[10:12]).result()
    try:
        failing.submit().result()
    except lib.trouble as error:
        print("caught", error)
"""


def test_classes_are_themselves_that_stand_under_other_names(script: Script) -> None:
    script.write("lib.py", NAMELESS)
    for _ in range(2):
        assert script.output(BY_OTHER_NAMES) == "caught as it was\n"


def test_modules_in_the_place_of_libraries(script: Script, deployment: object) -> None:
    program = """
import offload, lib

@offload.task
def both(n): return lib.both(n)

if __name__ == "__main__":
    print(both.submit(3).result())
"""
    script.write("lib.py", "import statistics, sortedcontainers\ndef both(n):\n"
        "    return statistics.mean([n, n]), len(sortedcontainers.SortedList([n]))\n")  # fmt: skip
    assert script.output(program) == "(3, 1)\n"
    script.write("statistics.py", "import sortedcontainers\ndef mean(numbers): return sortedcontainers.own\n")
    (script.path / "sortedcontainers").mkdir()
    script.write("sortedcontainers/__init__.py", "own = 'own'\nfrom .sorted import SortedList\n")
    script.write("sortedcontainers/sorted.py", "def SortedList(numbers): return range(7)\n")
    assert script.output(program) == "('own', 7)\n"
    script.write("sortedcontainers/sorted.py", "def SortedList(numbers): return range(8)\n")
    assert script.output(program) == "('own', 8)\n"
    for name in ("statistics.py", "sortedcontainers/__init__.py", "sortedcontainers/sorted.py"):
        (script.path / name).unlink()
    script.write("lib.py", (script.path / "lib.py").read_text().replace("[n, n]", "[n, n + 2]"))
    assert script.output(program) == "(4, 1)\n"


def test_kinds_on_a_deployment_through_edits(script: Script, deployment: object) -> None:
    script.write("lib.py", KINDS)
    for _ in range(2):
        assert script.output(PROGRAM) == "caught (3,) as it was\n"
    script.write("lib.py", KINDS.replace("return n * 2", "return n + 2 + n"))
    assert "assert found ==" in script.run(PROGRAM).stderr
    script.write("lib.py", KINDS)
    assert script.output(PROGRAM) == "caught (3,) as it was\n"


def test_two_projects_of_one_name_take_turns(script: Script, deployment: object) -> None:
    text = (
        "import offload, lib\nif __name__ == '__main__': print(offload.gather(offload.task(lib.f).map(range(3, {}))))"
    )
    other = Script(script.path / "other")
    other.path.mkdir()
    for each, factor in ((script, 2), (other, 3)):
        each.write(
            "lib.py",
            f"import threading\nLOCK = threading.Lock()\ndef f(n):\n    with LOCK: return n * {factor}\n",
        )
    for end in (5, 6):
        assert script.output(text.format(end)) == f"{[n * 2 for n in range(3, end)]}\n"
        assert other.output(text.format(end)) == f"{[n * 3 for n in range(3, end)]}\n"


def test_what_the_program_changed_after_the_import_goes_by_value(script: Script, deployment: object) -> None:
    script.write("lib.py", "K = 1\ndef f(n): return n * K\n")
    text = """
import offload, lib
if __name__ == "__main__":
    lib.K = 5
    print(offload.task(lib.f).submit(3).result())
    lib.f = lambda n: -n
    print(offload.task(lib.f).submit(3).result())
"""
    assert script.output(text) == "15\n-3\n"


def test_a_module_that_is_another_one_there_goes_by_value(
    script: Script, deployment: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where its code asks for the machine, or for the release of Python; also one that is imported by a call."""
    script.write(
        "lib.py",
        """
import os
WHERE = os.environ.get("ONLY_HERE", "elsewhere")
class Box:
    __slots__ = ("n",)
    where = WHERE
    def __init__(self, n): self.n = n
""",
    )
    text = """
import lib, offload
@offload.task
def boxed(n): return lib.Box(n)
@offload.task
def late(n):
    from lib import Box
    return [Box(n).where, type(Box.n).__name__]
if __name__ == "__main__":
    states = [offload.why(task, 3).hit for task in (boxed, late)]
    box = boxed.submit(3).result()
    print(states, late.submit(3).result(), type(box) is lib.Box, box.n, box.where)
"""
    monkeypatch.setenv("ONLY_HERE", "here")
    assert script.output(text) == "[False, False] ['here', 'member_descriptor'] True 3 here\n"
    assert script.output(text) == "[True, True] ['here', 'member_descriptor'] True 3 here\n"


REGISTRY = """
import threading
LOCK = threading.Lock()
REG = {}
class Base:
    def __init_subclass__(cls, tag): REG[tag] = cls
    @classmethod
    def all(cls): return sorted(c.__name__ for c in cls.__subclasses__())
"""


@pytest.mark.parametrize("guard", ["if True:", 'if __name__ == "__main__":'], ids=["no guard", "guarded"])
def test_what_only_registries_lead_to_is_imported_by_workers(script: Script, guard: str) -> None:
    script.write("lib.py", REGISTRY)
    (script.path / "plugs").mkdir()
    script.write("plugs/__init__.py", "")
    for name in "ab":
        script.write(
            f"plugs/{name}.py", f"from lib import Base\nclass {name.upper()}(Base, tag='{name}'):\n    v = 1\n"
        )
    text = f"""
import importlib, pkgutil
import offload, lib, plugs
@offload.task
def found(tag):
    with lib.LOCK: return [*lib.REG], lib.REG[tag].v, lib.Base.all()
{guard}
    for module in pkgutil.iter_modules(plugs.__path__): importlib.import_module("plugs." + module.name)
    print(found.submit("b").result())
"""
    for _ in range(2):
        assert script.output(text) == "(['a', 'b'], 1, ['A', 'B'])\n"


def test_a_program_without_a_guard_is_not_run_by_workers(script: Script) -> None:
    script.write("lib.py", "import threading\nLOCK = threading.Lock()\ndef f(n):\n    with LOCK: return n + 1\n")
    text = """
import offload, lib
print("started")
class Here:
    def __init__(self, x): self.x = lib.f(x)
@offload.task
def g(n): return Here(n)
found = g.submit(3).result()
print(found.x, isinstance(found, Here))
"""
    for _ in range(2):
        assert script.output(text) == "started\n4 True\n"


def test_a_module_that_begins_calls_is_not_imported_by_workers(script: Script) -> None:
    script.write(
        "lib.py",
        "import offload\n@offload.task\ndef f(n): return n + 1\nTABLE = offload.gather(f.map(range(3)))\n",
    )
    text = "import lib\nprint(lib.TABLE)\nif __name__ == '__main__': print(lib.f.submit(7).result())"
    assert script.output(text) == "[1, 2, 3]\n8\n"


def test_a_package_with_data_and_relative_imports(script: Script) -> None:
    (script.path / "pkg" / "deep").mkdir(parents=True)
    script.write("pkg/__init__.py", "")
    script.write("pkg/table.txt", "7")
    script.write("pkg/deep/__init__.py", "from ..sub import V\n")
    script.write("pkg/sub.py", "V = 3\n")
    script.write(
        "pkg/run.py",
        """
import importlib, importlib.resources, pkgutil
import offload
from .deep import V
@offload.task
def all_of_it():
    text = importlib.resources.files("pkg").joinpath("table.txt").read_text()
    return [int(text), int(pkgutil.get_data("pkg", "table.txt")), importlib.import_module(".sub", __package__).V, V]
if __name__ == "__main__":
    print(all_of_it.submit().result())
""",
    )
    text = "import runpy, sys\nfrom pkg.run import all_of_it\nprint(all_of_it.submit().result())"
    done = script.run(text)
    assert (done.returncode, done.stdout) == (0, "[7, 7, 3, 3]\n"), done.stderr
    done = script.run("import runpy\nrunpy.run_module('pkg.run', run_name='__main__', alter_sys=True)")
    assert (done.returncode, done.stdout) == (0, "[7, 7, 3, 3]\n"), done.stderr


def test_which_files_a_worker_needs() -> None:
    found = Found(checked=True)
    assert found.notes(Script, Script.__module__, "Script")
    assert list(found.sources.files) == [found_at(Script.__module__, "__file__")]
    assert str(Path(__file__).parent.parent.parent) in found.sources.roots
    assert not found.takes("json")
    assert not found.takes("no_such_module")
    assert list(found.named) == [(Script.__module__, "Script")]
    assert differing(found.named) == ""
    assert differing({(Script.__module__, "Script"): "0" * 64}) == f"{Script.__module__}:Script"


def test_files_that_are_others_are_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        imports, "_roots", None
    )  # another test in this process may have had modules of a project imported
    path = tmp_path / "module.py"
    path.write_text("X = 1\n")
    digest = checksum_of(str(path))
    assert digest is not None
    sources = Sources((str(tmp_path),), {str(path): digest})
    with using(*seen_here(sources, "", None, "")) as reason:
        assert reason == ""
    path.write_text("X = 22\n")
    with using(*seen_here(sources, "", None, "")) as reason:
        assert reason == f"{path} is another file there"
    os.unlink(path)
    with using(*seen_here(sources, "", None, "")) as reason:
        assert reason == f"{path} is not there"
    with using(*seen_here(sources, "0" * 64, None, "")) as reason:
        assert reason == f"{path} is not there, and this worker does not see the storage of its deployment"
    with using(Sources()) as reason:
        assert reason


def test_nothing_is_begun_by_what_is_imported() -> None:
    ask, told = threading.Event(), list[bool]()

    def there_before() -> None:
        ask.wait()
        told.append(is_importing())

    before = threading.Thread(target=there_before)
    before.start()
    with imports.importing():
        assert is_importing()
        ask.set()
        before.join()
        started = threading.Thread(target=lambda: told.append(is_importing()))
        started.start()
        started.join()
    assert told == [False, True]
    assert not is_importing()


STATE = """
import offload

class Conf:
    cache = {}
    seen = []
    def __init__(self, name): self.name = name
    def get(self, path):
        if self.name not in Conf.cache: Conf.cache[self.name] = open(path).read()
        return Conf.cache[self.name]

COUNT = {"n": 0}
def inc(x):
    COUNT["n"] += 1
    return COUNT["n"] + x
"""

STATEFUL = """
import sys, offload, state
from state import Conf, inc

@offload.task
def read(conf, file): return conf.get(file)
@offload.task
def length(conf):
    type(conf).seen.append(1)
    return len(conf.seen)
@offload.task
def apply(f, x): return f(x)

if __name__ == "__main__":
    print(read.submit(Conf("a"), offload.File("conf.txt")).result(), length.submit(Conf("b")).result(),
        offload.gather([apply.submit(inc, 1000 + i * 10) for i in range(3)]))
"""


def test_state_that_calls_leave_behind_is_not_seen_by_the_next(script: Script, deployment: object) -> None:
    script.write("state.py", STATE)
    for number in (5, 6, 7):
        script.write("conf.txt", f"v{number}")
        done = script.run(STATEFUL)
        assert (done.returncode, done.stdout) == (0, f"v{number} 1 [1001, 1011, 1021]\n"), done.stderr


def test_a_program_that_exits_where_it_is_imported_ends_no_worker(script: Script, deployment: object) -> None:
    text = """
import sys, offload
if len(sys.argv) != 2: sys.exit("usage: script.py NUMBER")
@offload.task
def square(x): return x * x
if __name__ == "__main__": print(offload.gather(square.map(range(int(sys.argv[1])))))
"""
    assert script.output(text, "4") == "[0, 1, 4, 9]\n"


def test_a_module_that_begins_calls_in_threads_is_not_imported_by_workers(script: Script, deployment: object) -> None:
    script.write(
        "pool.py",
        """
from concurrent.futures import ThreadPoolExecutor
import offload
@offload.task
def cube(x): return x ** 3
def go(i): return cube.submit(i).result()
with ThreadPoolExecutor(2) as p: TABLE = list(p.map(go, range(20, 23)))
@offload.task
def look(i): return TABLE[i % 3] + i
""",
    )
    text = "import pool, offload\nif __name__ == '__main__': print(offload.gather(pool.look.map(range(4))))"
    assert script.output(text) == "[8000, 9262, 10650, 8003]\n"


def test_what_a_module_has_read_while_it_was_imported_is_read_anew(script: Script, deployment: object) -> None:
    script.write(
        "conf.py",
        f"import threading\nLOCK = threading.Lock()\nSETTING = open({str(script.path / 'setting')!r}).read()\n",
    )
    text = """
import conf, offload
@offload.task
def f(x):
    with conf.LOCK: return conf.SETTING + str(x)
if __name__ == "__main__": print(offload.gather(f.map(range(2))))
"""
    for number in (1, 2, 3):
        script.write("setting", f"s{number}-")
        assert script.output(text) == f"['s{number}-0', 's{number}-1']\n"


def test_state_that_calls_of_several_threads_change_refuses_no_call(script: Script, offload: Offload) -> None:
    script.write(
        "lib.py",
        """
import threading, time
LOCK = threading.Lock()
CACHE = {}
def f(n):
    time.sleep(0.1 + n % 3 * 0.1)
    with LOCK:
        CACHE[n] = n
    return n + 1
""",
    )
    text = "import offload, lib\nif __name__ == '__main__': print(offload.gather(offload.task(lib.f).map(range(20))))"
    assert offload("up", "--name", "two", "--workers", "1", "--threads", "2").returncode == 0
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("OFFLOAD_DEPLOYMENT", "two")
            done = script.run(text)
    finally:
        assert offload("down", "two").returncode == 0
    assert (done.returncode, done.stdout) == (0, f"{list(range(1, 21))}\n"), done.stderr
    assert "not recorded" not in done.stderr  # each call has changed its own process, alone


def test_arguments_that_are_others_there_leave_the_function_its_name(script: Script, deployment: object) -> None:
    script.write(
        "lib.py",
        "import threading\nHELD = threading.Lock()\nHELD.acquire()\n"
        "class Own: pass\ndef f(x): return 2 + HELD.locked()\n",
    )
    text = """
import offload, lib
f = offload.task(lib.f)
if __name__ == "__main__":
    lib.Own.added = 5
    try:
        print(f.submit(lib.Own()).result())
    except offload.OffloadError as error:
        print("Own is another one there" in str(error))
    print(f.submit(1).result())
"""
    assert script.output(text) == "True\n3\n"
