"""A project as its owner has it: its files, what it computes, and the edits of a working day."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from textwrap import dedent

NOTE = """
def note(word):
    with open(__LOG__, "a") as log:
        log.write(word + "\\n")
"""


@dataclasses.dataclass(frozen=True)
class Edit:
    """An edit: of which file, what, and what the project's script gives and executes after it.

    Attributes
    ----------
    file : str
        Below the project's directory; where there is nothing to replace, a program that changes something, with its
        words.
    old, new : str
        A text that stands once in it, and what takes its place.
    results : dict of str to object
        The results that are others than before.
    executed : str
        The calls that are executed, each a word; empty where nothing is to be computed.
    """

    file: str
    old: str
    new: str
    results: dict[str, object] = dataclasses.field(default_factory=dict)
    executed: str = ""


@dataclasses.dataclass(frozen=True)
class Project:
    """A project and its script, ``main.py``.

    Attributes
    ----------
    name : str
        What it is called.
    files : dict of str to str
        What its files hold. ``main.py`` prints its results as JSON; with the argument ``map`` workers compute them.
    results : dict of str to object
        What they are at first.
    executed : str
        The calls that are executed for them.
    edits : tuple of Edit
        One after the other.
    is_installed : bool
        Whether it is installed editable, and not a folder of scripts.
    program : tuple of str
        What is run for the results, and its words.
    prepared : tuple of tuple of str
        What is run once before: programs and their words.
    """

    name: str
    files: dict[str, str]
    results: dict[str, object]
    executed: str
    edits: tuple[Edit, ...]
    is_installed: bool = False
    program: tuple[str, ...] = ("main.py",)
    prepared: tuple[tuple[str, ...], ...] = ()

    def write(self, directory: Path, log: str) -> Path:
        """Write it below a directory; what is executed goes to a log."""
        place = directory / self.name
        for path, text in self.files.items():
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            (place / path).write_text(dedent(text).lstrip("\n").replace("__LOG__", repr(log)))
        return place


def main(imports: str, *calls: str, before: str = "") -> str:
    """Return a script that makes calls (``name: task, argument, ...``) and prints their results.

    It fails where a result is of another class than the one that is known here by that name.
    """
    lines = [
        "import json, operator, sys",
        "import offload",
        *imports.splitlines(),
        "",
        *dedent(before).splitlines(),
        "",
    ]
    lines += ["def is_known(kind):"]
    lines += ["    return operator.attrgetter(kind.__qualname__)(sys.modules[kind.__module__]) is kind", ""]
    lines += ["if __name__ == '__main__':", "    calls = {"]
    for call in calls:
        name, _, words = call.partition(": ")
        lines.append(f"        {name!r}: ({words},),")
    lines += ["    }", "    if 'map' in sys.argv:"]
    lines.append("        futures = [task.submit(*words) for task, *words in calls.values()]")
    lines += ["        found = offload.gather(futures)", "    else:"]
    lines += ["        found = [task(*words) for task, *words in calls.values()]"]
    lines += ["    assert all(is_known(type(value)) for value in found)"]
    lines += ["    print(json.dumps(dict(zip(calls, found)), default=repr))", ""]
    return "\n".join(lines)
