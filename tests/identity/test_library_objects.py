"""Objects of libraries that differ in each process by numbers that say nothing, or that lead to themselves."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
import weakref
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import offload
from offload.api import other_each_time
from offload.errors import EffectWarning, IdentityError
from offload.identity.functions.graph import Graph
from offload.identity.values.encode import identify

LIBRARY = """
class Rule:
    def __init__(self, name, words, weight=1):
        self.name, self.words, self.weight = name, words, weight
        self._hash = hash((self.name, tuple(self.words)))

class Slots:
    __slots__ = {"first", "second", "third", "fourth"}
    def __init__(self):
        self.first = self.second = self.third = self.fourth = 0

class Told:
    __slots__ = ("first", "second", "third", "fourth")
    def __init__(self):
        self.first = self.second = self.third = self.fourth = 0
    def __getstate__(self):
        return {name: getattr(self, name) for name in {*self.__slots__}}

class Kept:
    def __init__(self, words):
        self.words, self._words_id = words, id(words)

class Structures:
    def __init__(self, rate):
        self.rate = rate
        self.hooks = [lambda x: x * self.rate, lambda x: self.hooks[0](x)]
"""
USE = """
import library
from offload.identity.values.encode import identify
from offload.identity.functions.graph import Graph

RULE, CONVERTER = library.Rule("a", ["b", "c"]), library.Structures(2)
def ruled(x): return RULE.name
def converted(x): return CONVERTER.hooks[1](x)
print([identify(one) for one in (RULE, library.Slots(), library.Told(), library.Kept(["a"]), library.Kept(None))])
print(Graph(ruled).checksum, Graph(converted).checksum)
"""


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module that counts as a library's."""
    from offload.identity.libraries import distributions

    real = distributions.origin
    module = ModuleType("library_of_rules")
    exec(LIBRARY, vars(module))
    for one in vars(module).values():
        if isinstance(one, type):
            one.__module__ = module.__name__
    monkeypatch.setitem(sys.modules, module.__name__, module)

    def origin(name: str | None) -> str:
        return "library_of_rules==1.0" if name == module.__name__ else real(name)

    for name, found in list(sys.modules.items()):
        if name.startswith("offload.") and getattr(found, "origin", None) is real:
            monkeypatch.setattr(found, "origin", origin)
    return module


def installed(directory: Path) -> Path:
    """Install the library as a wheel would be, and return where."""
    site = directory / "lib" / "site-packages"
    info = site / "library-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "library.py").write_text(LIBRARY)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: library\nVersion: 1.0\n")
    (info / "RECORD").write_text("library.py,,\nlibrary-1.0.dist-info/METADATA,,\nlibrary-1.0.dist-info/RECORD,,\n")
    return site


def test_they_are_the_same_in_each_process(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(USE)
    site = installed(tmp_path)
    found = set()
    for seed in "123":
        done = subprocess.run(
            [sys.executable, "-c", f"import site; site.addsitedir({str(site)!r}); exec(open('program.py').read())"],
            cwd=tmp_path,
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found.add(done.stdout)
    assert len(found) == 1


def test_a_number_that_is_not_the_hash_of_what_is_there_counts(library: Any) -> None:
    rule = library.Rule("a", ["b"])
    first = identify(rule)
    assert identify(library.Rule("a", ["b"])) == first
    assert identify(library.Rule("a", ["c"])) != first
    rule._hash += 1
    assert identify(rule) != first
    kept = library.Kept(["a"])
    assert identify(kept) == identify(library.Kept(["a"]))
    kept._words_id = id(kept)
    assert identify(kept) != identify(library.Kept(["a"]))


def test_the_hash_of_a_projects_object_is_not_asked_for(library: Any) -> None:
    class Own:
        def __hash__(self) -> int:
            raise AssertionError

    rule = library.Rule("a", ["b"])
    rule.name = Own()
    assert identify(rule)


def test_an_object_that_functions_in_it_lead_to(library: Any) -> None:
    made = library.Structures(2)

    def use(x: int) -> Any:
        return made.hooks[1](x)

    graph = Graph(use)
    assert graph.is_current()
    assert Graph(use).checksum == graph.checksum
    made.rate = 3
    assert graph.changed() is not None
    assert Graph(use).checksum != graph.checksum
    made.rate = 2
    assert Graph(use).checksum == graph.checksum
    other = library.Structures(2)
    made.hooks[0] = other.hooks[0]  # which leads to another one
    assert graph.changed() is not None
    assert Graph(use).checksum != graph.checksum
    held = weakref.ref(other)
    assert held() is other


def test_a_refusal_far_below_names_what_can_be_ignored(library: Any) -> None:
    made = library.Structures(one for one in "ab")

    def use(x: int) -> Any:
        return made.hooks[1](x)

    with pytest.raises(IdentityError) as caught:
        Graph(use)
    assert "ignore=['made']" in (caught.value.hint or "")


@pytest.mark.usefixtures("home")
def test_an_object_that_is_another_one_each_time_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: Any
) -> None:
    monkeypatch.setitem(sys.modules, "changing_program", program := ModuleType("changing_program"))
    file = tmp_path / "changing_program.py"
    file.write_text("def use(x): return GRAPH.name * x\n")
    program.__file__ = str(file)
    told = []
    for number, name in enumerate(("N1", "N2", "N3"), 1):
        exec(compile(file.read_text(), str(file), "exec"), vars(program))
        vars(program)["GRAPH"] = library.Rule(name, [])
        other_each_time._asked.clear()
        with monkeypatch.context() as patch, warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            patch.setattr(os, "getpid", lambda number=number: number)
            assert offload.task(vars(program)["use"])(2) == name * 2
        told.append([str(one.message) for one in warned if one.category is EffectWarning])
    assert told[:2] == [[], []]
    assert len(told[2]) == 1
    assert 'ignore=["GRAPH"]' in told[2][0]
    assert "a Rule, was another one in each of the last three processes" in told[2][0]
