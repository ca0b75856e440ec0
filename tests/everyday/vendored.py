"""Pure-Python libraries that lie in the project, with their own functions decorated in place."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

from tests.everyday.workshop import Workshop

LIBRARIES = ("packaging", "sortedcontainers", "toolz")

# What the owner adds at the end of a module, and the call that shows it.
DECORATED = {
    "packaging/version.py": "parse = __import__('offload').task(parse)\n",
    "sortedcontainers/__init__.py": """
import offload

@offload.task
def ordered(words):
    kept = SortedDict((word, len(word)) for word in words)
    return [*kept.items(), kept.bisect("b"), list(SortedList(words).irange("a", "c"))]
""",
    "toolz/itertoolz.py": "frequencies = __import__('offload').task(frequencies)\n",
}
SCRIPT = """
import json, sys, offload
from packaging.version import parse
from sortedcontainers import ordered
from toolz.itertoolz import frequencies

for library in {libraries!r}:
    assert __import__(library).__file__.startswith({place!r}), library
calls = [(parse, "1.2rc1"), (ordered, ["c", "a", "b"]), (frequencies, ["x", "y", "x"])]
states = [offload.why(task, word).hit for task, word in calls]
found = [task.submit(word).result() if {submitted} else task(word) for task, word in calls]
assert type(found[0]) is sys.modules["packaging.version"].Version
print(json.dumps([states, [str(value) for value in found]]))
"""
# In each library a line deep inside: of the base class, of the bisection, of the counting.
EDITS = {
    "packaging/version.py": "\n_deep = Version.__str__\nVersion.__str__ = lambda self: _deep(self) + '+edited'\n",
    "sortedcontainers/sortedlist.py": "\nSortedList.irange = lambda self, *words: iter(['edited'])\n",
    "toolz/itertoolz.py": """
class collections:
    @staticmethod
    def defaultdict(kind):
        from collections import defaultdict
        return defaultdict(lambda: 10)
""",
}


def work(workshop: Workshop, place: Path) -> None:
    """Have the libraries in a directory, decorate them, run them, edit deep inside of them, run them again."""
    for library in LIBRARIES:
        spec = importlib.util.find_spec(library)
        assert spec is not None and spec.origin is not None
        shutil.copytree(Path(spec.origin).parent, place / library, ignore=shutil.ignore_patterns("__pycache__"))
    for file, text in DECORATED.items():
        with open(place / file, "a") as module:
            module.write(text)
    script = SCRIPT.format(libraries=LIBRARIES, place=str(place), submitted=bool(workshop.deployment))
    (place / "main.py").write_text(script)

    def run(seed: int) -> list[object]:
        found = workshop.run("main.py", cwd=place, PYTHONHASHSEED=str(seed))
        return list(json.loads(found.splitlines()[-1]))

    values = ["1.2rc1", "[('a', 1), ('b', 1), ('c', 1), 2, ['a', 'b', 'c']]", "{'x': 2, 'y': 1}"]
    assert run(1) == [[False] * 3, values]
    assert run(2) == [[True] * 3, values]
    for file, text in EDITS.items():
        with open(place / file, "a") as module:
            module.write(text)
    edited = ["1.2rc1+edited", "[('a', 1), ('b', 1), ('c', 1), 2, ['edited']]", "{'x': 12, 'y': 11}"]
    assert run(1) == [[False] * 3, edited]
    assert run(2) == [[True] * 3, edited]
