"""Every form of function times every kind of edit, in fresh processes: did it really run, and is the value right?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

HELPERS = """
INNER = 1
def helper(x):
    return further(x) + INNER
def further(x):
    return x * 3
class Base:
    scale = 7
    @property
    def doubled(self):
        return self.scale * 2
"""
APP = """
import helpers
from helpers import helper as aliased, Base
RATE = 10
LIMITS = [100]
TABLE = {"a": helpers.helper}
class Shape(Base):
    def area(self, x):
        return self.scale * x + self.doubled
def unrelated():
    return 5
def made(offset):
    def closure(x):
        return x + offset
    return closure
shifted = made(10000)
def base(x, y=1000):
    "What it does."
    return x + y + RATE + aliased(x) + TABLE["a"](x) + LIMITS[0] + Shape().area(x) + shifted(x)
"""
FORMS = {
    "function": "f = task(base)",
    "lambda": "f = task(lambda x: base(x))",
    "partial": "from functools import partial\nf = task(partial(base, y=5))",
    "method": "class A:\n    @task\n    def m(self, x):\n        return base(x)\nf = A().m",
    "method of a state": "class A:\n    k = 3\n    @task\n    def m(self, x):\n        return base(x) + self.k\n"
    "f = A().m",
    "static method": "class A:\n    @staticmethod\n    @task\n    def m(x):\n        return base(x)\nf = A.m",
    "class method": "class A:\n    @classmethod\n    def m(cls, x):\n        return base(x)\nf = task(A.m)",
    "callable instance": "class A:\n    def __call__(self, x):\n        return base(x)\nf = task(A())",
    "wrapped": "from functools import wraps\ndef d(g):\n    @wraps(g)\n    def w(*a, **k):\n"
    "        return g(*a, **k) * 2\n    return w\nf = task(d(base))",
    "lru_cache": "from functools import lru_cache\nf = task(lru_cache(base))",
    "async": "import asyncio\n@task\nasync def g(x):\n    return base(x)\ndef f(x):\n"
    "    return asyncio.run(run(g, x))\n"
    "async def run(g, x):\n    return await g(x)",
    "by keyword": "g = task(base)\ndef f(x):\n    return g(y=1000, x=x)",
}
CHANGES = {
    "body": ("app", "return x + y", "return x - y"),
    "default": ("app", "y=1000", "y=2000"),
    "global": ("app", "RATE = 10", "RATE = 20"),
    "mutable global": ("app", "LIMITS = [100]", "LIMITS = [100]\nLIMITS[0] = 300"),
    "dispatch table": ("app", '"a": helpers.helper', '"a": helpers.further'),
    "closure variable": ("app", "made(10000)", "made(20000)"),
    "helper": ("helpers", "further(x) +", "further(x) -"),
    "helper two calls away": ("helpers", "x * 3", "x * 4"),
    "global of a helper": ("helpers", "INNER = 1", "INNER = 2"),
    "attribute of a base class": ("helpers", "scale = 7", "scale = 8"),
    "property of a base class": ("helpers", "self.scale * 2", "self.scale * 3"),
    "method": ("app", "self.scale * x", "self.scale - x"),
}
KEEPS = {
    "nothing": ("app", "RATE", "RATE"),
    "comment": ("app", "def base", "# What comes next.\ndef base"),
    "docstring": ("app", "What it does.", "What it really does."),
    "formatting": ("app", "return x + y + RATE +", "return (x\n  +   y) + RATE +"),
    "annotation": ("app", "def base(x, y", "def base(x: int, y: 'float'"),
    "unrelated": ("app", "return 5", "return 6"),
    "order": ("app", "RATE = 10\nLIMITS = [100]", "LIMITS = [100]\nRATE = 10"),
    "docstring of a helper": ("helpers", "def further(x):", "def further(x):\n    'More.'"),
}
# How the same text comes to run.
WAYS = ("module", "script", "exec", "cell", "prompt")

PROGRAM = """
import importlib, json, linecache, runpy, sys, code
import offload

def plain(function):
    return function

def names_of(way, directory, text, task):
    sys.path.insert(0, directory)
    for module in ("helpers", "app"):
        sys.modules.pop(module, None)
    importlib.invalidate_caches()
    names = {"__name__": "__main__", "task": task}
    if way == "module":
        import builtins
        builtins.task = task
        names = vars(importlib.import_module("app"))
    elif way == "script":
        names = runpy.run_path(directory + "/app.py", {"task": task}, "__main__")
    elif way == "exec":
        exec(text, names)
    elif way == "cell":
        name = "<ipython-input-1-0123456789ab>"
        linecache.cache[name] = len(text), None, text.splitlines(True), name
        exec(compile(text, name, "exec"), names)
    else:
        console = code.InteractiveConsole(names)
        block = []
        for line in [*text.splitlines(), ""]:
            if block and line[:1] not in (" ", ")", ""):
                console.runsource("\\n".join(block) + "\\n", symbol="exec")
                block = []
            block.append(line)
        console.runsource("\\n".join(block) + "\\n", symbol="exec")
    sys.path.remove(directory)
    return names

def called(function, x):
    runs = []
    def note(frame, event, argument):
        if event == "call" and frame.f_code.co_name == "base":
            runs.append(1)
    sys.setprofile(note)
    try:
        return function(x), bool(runs)
    finally:
        sys.setprofile(None)

results = {}
for name, way, directory, text in json.load(sys.stdin):
    found, ran = called(names_of(way, directory, text, offload.task)["f"], 2)
    results[name] = found, called(names_of(way, directory, text, plain)["f"], 2)[0], ran
json.dump(results, sys.stdout)
"""


def results(jobs: list[tuple[str, str, str, str]], seed: str) -> dict[str, tuple[Any, Any, bool]]:
    """What each call returned, what it should, and whether it ran; in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-B", "-c", PROGRAM],
        input=json.dumps(jobs),
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONHASHSEED": seed},
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {name: (value, right, ran) for name, (value, right, ran) in json.loads(done.stdout).items()}


def job(root: Path, form: str, edit: tuple[str, str, str], way: str = "module") -> tuple[str, str, str]:
    """Write a project, edited; return how it is run, where it lies, and its text."""
    texts = {"app": APP + FORMS[form] + "\n", "helpers": HELPERS}
    file, old, new = edit
    assert old in texts[file]
    texts[file] = texts[file].replace(old, new, 1)
    directory = root / str(len(list(root.iterdir())))
    directory.mkdir()
    for name, text in texts.items():
        (directory / f"{name}.py").write_text(textwrap.dedent(text))
    return way, str(directory), texts["app"]


@pytest.mark.real
def test_every_form_and_edit(home: Path, tmp_path: Path) -> None:
    projects = tmp_path / "projects"
    projects.mkdir()
    first = results([(form, *job(projects, form, KEEPS["nothing"])) for form in FORMS], "0")
    wrong = [name for name, (value, right, _) in first.items() if value != right]
    assert not wrong
    assert first["function"][2]

    jobs = [(f"{form} | {name}", *job(projects, form, edit)) for form in FORMS for name, edit in KEEPS.items()]
    jobs += [
        (f"{form}, {way} | {name}", *job(projects, form, KEEPS[name], way))
        for way in WAYS
        for form in ("function", "lambda", "wrapped", "class method")
        for name in ("nothing", "docstring", "comment")
    ]
    kept = results(jobs, "1")
    assert [name for name, (_, _, ran) in kept.items() if ran] == [], "needless runs"
    assert [name for name, (value, right, _) in kept.items() if value != right] == []

    jobs = [(f"{form} | {name}", *job(projects, form, edit)) for form in FORMS for name, edit in CHANGES.items()]
    changed = results(jobs, "2")
    assert [name for name, (value, right, _) in changed.items() if value != right] == [], "stale results"
    # Calls by keyword are those of "function", which has run before them.
    assert {name.split(" | ")[0] for name, (_, _, ran) in changed.items() if not ran} == {"by keyword"}
    ways = [
        (f"{way} | {name}", *job(projects, "lambda", ("app", old, new.replace("2", "7")), way))
        for way in WAYS
        for name, (file, old, new) in CHANGES.items()
        if file == "app"
    ]
    assert [n for n, (value, right, _) in results(ways, "3").items() if value != right] == [], "stale results"
