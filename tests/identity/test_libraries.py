"""Tricks of libraries whose functions are identified in place: what they hide, and what their first call rewrites."""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest

import offload
from offload.identity.functions import identify
from offload.identity.functions.graph import Graph
from offload.tasks import replay
from offload.transport import pickling

# As networkx decorates: the first call compiles the function anew, under a name with a number in it.
MAPPED = """
class argmap:
    __count = 0

    def __init__(self, how):
        self.how = how

    def __call__(self, f):
        def func(*args, __wrapper=None, **kwargs):
            return argmap.compiled(__wrapper)(*args, **kwargs)
        func.__wrapped__ = f
        func.__kwdefaults__["_argmap__wrapper"] = func
        func.__argmap__ = self
        return func

    @classmethod
    def compiled(cls, func):
        cls.__count += 1
        name, how = f"mapped_{cls.__count}", f"how_{cls.__count}"
        found = {name: func.__wrapped__, how: func.__argmap__.how}
        exec(f"def func(x): return {name}({how}(x))", found)
        func.__code__ = found["func"].__code__
        func.__globals__.update({name: func.__wrapped__, how: func.__argmap__.how})
        func._code = "text"
        return func

@argmap(lambda x: x + 1)
def doubled(x):
    return x * 2

@argmap(lambda x: x + 1)
def other(x):
    return x
"""


def module(text: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "library_app"}
    exec(text, names)
    return names


def checksum(function: Any) -> str:
    return Graph(function).checksum


def test_a_function_that_compiles_itself_when_it_is_called() -> None:
    names = module(MAPPED)
    before, graph = checksum(names["doubled"]), Graph(names["doubled"])
    names["other"](1)
    assert names["doubled"](1) == 4
    assert graph.is_current()
    assert checksum(names["doubled"]) == before
    mapping = "@argmap(lambda x: x + 1"
    for old, new in (("x * 2", "x * 3"), (mapping, mapping + "0"), ("({how}(x))", "({how}(-x))")):
        assert checksum(module(MAPPED.replace(old, new))["doubled"]) != before
    names["doubled"].added = 1
    assert not graph.is_current()


def test_what_cmp_to_key_was_given() -> None:
    text = "import functools\nkey = functools.cmp_to_key(lambda a, b: a - b)\ndef f(x): return sorted(x, key=key)\n"
    found = {checksum(module(t)["f"]) for t in (text, text.replace("a - b", "b - a"))}
    assert len(found) == 2
    assert checksum(module(text)["f"]) in found


def test_a_docstring_that_a_class_makes_up() -> None:
    text = "class A:\n    __doc__ = property(lambda self: 'one')\ndef f(x): return A().__doc__\n"
    assert checksum(module(text)["f"]) == checksum(module(text)["f"])
    assert checksum(module(text)["f"]) != checksum(module(text.replace("one", "two"))["f"])


def test_a_module_with_a_class_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def made(rate: int) -> Any:
        names = module(f"from types import ModuleType\nclass Own(ModuleType):\n    rate = property(lambda m: {rate})\n")
        own = names["Own"]("own_library")
        monkeypatch.setitem(sys.modules, "own_library", own)
        exec("def f(x): return [own, x]", names)
        names["own"] = own
        return names["f"]

    assert checksum(made(1)) == checksum(made(1))
    assert checksum(made(1)) != checksum(made(2))
    own = sys.modules["own_library"]
    assert isinstance(own, ModuleType)
    assert offload.identity(functools.partial(made(1), own)).checksum


def test_what_a_graph_has_looked_up_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "".join(f"class C{i}:\n    def m(self): return C{(i + 1) % 20}()\n" for i in range(20))
    names = module(text)
    monkeypatch.setitem(sys.modules, "library_app", ModuleType("library_app"))
    vars(sys.modules["library_app"]).update(names)
    asked = []

    def closure(value: Any) -> Graph:
        asked.append(value)
        return identify.closure(value)

    monkeypatch.setattr(pickling, "closure", closure)
    assert pickling.dumps(names["C0"]())
    assert asked == [names["C0"]]


def test_code_that_is_surely_too_large_is_not_pickled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickling, "pickled", lambda *args: pytest.fail("it was pickled"))
    names = module("".join(f"def f{i}(x): return f{i + 1}(x)\n" for i in range(50)) + "def f50(x): return x\n")
    monkeypatch.setattr(replay, "MOST_CODE", 500)
    assert replay.code(Graph(names["f0"])) is None


def test_tasks_of_a_library_that_compiles_itself(home: Path) -> None:
    names = module(MAPPED)
    function = names["doubled"]
    assert isinstance(function, FunctionType)
    task = offload.task(function, depends_on=[1])
    assert task(1) == 4
    assert task(1) == 4
    assert offload.why(task, 1).hit


@pytest.fixture
def django_settings(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Settings of Django as a project has them that configures them itself."""
    conf = pytest.importorskip("django.conf")
    settings = conf.LazySettings()
    settings.configure(CURRENCY="EUR", PAGE=10)
    monkeypatch.setattr(conf, "settings", settings)
    return settings


def identities(settings: Any) -> list[str]:
    """Return the checksums of functions that take one setting: by its name, by a text, by the module of the library."""
    names: dict[str, Any] = {"__name__": "prices", "__builtins__": __builtins__, "settings": settings}
    exec(
        "import django.conf\n"
        "def plain(): return settings.CURRENCY\n"
        "def asked(): return getattr(settings, 'CURRENCY', '')\n"
        "def far(): return django.conf.settings.CURRENCY\n"
        "def within():\n    from django.conf import settings\n    return settings.CURRENCY\n",
        names,
    )
    graphs = [Graph(names[name]) for name in ("plain", "asked", "far", "within")]
    for name, graph in zip(("plain", "asked", "far", "within"), graphs, strict=True):
        assert names[name]() == settings.CURRENCY  # which it remembers from now on
        assert graph.changed() is None
    return [graph.checksum for graph in graphs]


def test_settings_of_django_count_where_code_takes_them(django_settings: Any) -> None:
    first = identities(django_settings)
    assert identities(django_settings) == first
    django_settings.CURRENCY = "CHF"
    second = identities(django_settings)
    assert not set(first) & set(second)
    django_settings.PAGE = 20
    third = identities(django_settings)
    assert third[0] == second[0]  # of which it is known that it takes no other setting
    django_settings.CURRENCY, django_settings.PAGE = "EUR", 10
    assert identities(django_settings) == first


def test_settings_of_django_that_are_exchanged_are_noticed(django_settings: Any) -> None:
    """As ``override_settings`` does it."""
    names: dict[str, Any] = {"__name__": "prices", "settings": django_settings}
    exec("def price(): return settings.CURRENCY", names)
    graph = Graph(names["price"])
    from django.conf import UserSettingsHolder

    override = UserSettingsHolder(django_settings._wrapped)
    override.CURRENCY = "CHF"
    django_settings._wrapped = override
    assert graph.changed() is not None
    assert Graph(names["price"]).checksum != graph.checksum


MODELS = """
import sys
import django
from django.conf import settings

settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}, USE_TZ=True)
django.setup()
from django.db import connection, models
from offload.identity.functions.graph import Graph

if "other" in sys.argv:  # another app of the same project, which this process has loaded before
    class Other(models.Model):
        first, second = models.IntegerField(), models.IntegerField()
        class Meta:
            app_label = "other"

class Shelf(models.Model):
    room = models.CharField(max_length=10)
    class Meta:
        app_label = "shelves"

class Book(models.Model):
    title = models.CharField(max_length=%s)
    shelf = models.ForeignKey(Shelf, on_delete=models.CASCADE, related_name="books")
    class Meta:
        app_label = "shelves"

def titles(room):
    return [book.title for shelf in Shelf.objects.filter(room=room) for book in shelf.books.order_by("title")]

graph = Graph(titles)
if "used" in sys.argv:
    with connection.schema_editor() as editor:
        editor.create_model(Shelf)
        editor.create_model(Book)
    Book.objects.create(title="Faust", shelf=Shelf.objects.create(room="a"))
    assert titles("a") == ["Faust"]
    assert [list(shelf.books.all()) for shelf in Shelf.objects.prefetch_related("books")] == [[Book.objects.get()]]
    assert graph.changed() is None
    graph = Graph(titles)
print(graph.checksum)
"""


def test_models_of_django_count_by_what_is_declared_of_them() -> None:
    """Neither by what they have been used for in this process, nor by what else it has loaded."""

    def identity(*words: str, length: int = 20) -> str:
        done = subprocess.run(
            [sys.executable, "-c", MODELS % length, *words], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    found = identity()
    assert identity("used") == found
    assert identity("other") == found
    assert identity(length=30) != found


def test_private_attributes_of_pydantic_count_by_their_defaults() -> None:
    pytest.importorskip("pydantic")
    names = {}
    for default in (7, 8):
        lib = module(
            "import pydantic\n"
            "class Model(pydantic.BaseModel):\n"
            "    x: int\n"
            f"    _kept: int = pydantic.PrivateAttr(default={default})\n"
            "    _made: list = pydantic.PrivateAttr(default_factory=list)\n"
            "def make(x): return Model(x=x)._kept\n"
        )
        graph = Graph(lib["make"])
        assert lib["make"](1) == default
        assert graph.is_current()
        names[graph.checksum] = default
    assert len(names) == 2
