"""Identities that stay what they are: of functions, values and commands, as they were first recorded.

Only what neither a library nor its version is part of is here, for the minor version of Python that it was recorded
with. ``python -m tests.identity.golden`` records them anew, after a change that is meant to give other identities.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from offload.identity.commands import CommandInput, command_record
from offload.identity.commands import identify as command_identity
from offload.identity.values.encode import identify
from tests.identity import kinds
from tests.identity.edits import EVERY
from tests.identity.projects import identities, write

PATH = Path(__file__).parent / "golden.json"
PYTHON = "{}.{}".format(*sys.version_info)
LIBRARIES = re.compile(
    r"\b(np|pd|pl|pa|sp|numpy|pandas|polars|pyarrow|scipy|sklearn|sympy|attrs?|Attrs|FrozenAttrs|msgspec|Struct|pydantic|Model"
    r"|Unit|dask|distributed|networkx|django|matplotlib|mpmath|numexpr|duckdb|jinja2|packaging|psutil|click|yaml|offload)\b"
)
"""Names of what counts with its version; and of classes that are made by it."""

CONTENT = "ab" * 32
COMMANDS: dict[str, dict[str, Any]] = {
    "words": {"argv": ["sort", "-r"]},
    "input": {"argv": ["sort", "a"], "inputs": [CommandInput("a", "file", CONTENT, False)]},
    "directory": {"argv": ["ls", "d"], "inputs": [CommandInput("d", "directory", CONTENT, False)]},
    "executable input": {"argv": ["./a"], "inputs": [CommandInput("a", "file", CONTENT, True)]},
    "standard input": {"argv": ["cat"], "stdin": CONTENT},
    "outputs": {"argv": ["cp", "a", "b"], "outputs": ["b", "c/"]},
    "variables": {"argv": ["env"], "variables": {"B": "1", "A": "2"}},
}


def functions() -> dict[str, str]:
    """Return the identities of the functions of small projects."""
    chosen = [
        (number, one)
        for number, one in enumerate(EVERY)
        if not LIBRARIES.search(" ".join([*one.files.values(), one.statements, one.subject]))
    ]
    with tempfile.TemporaryDirectory() as scratch:
        jobs = []
        for number, one in chosen:
            directory = Path(scratch) / str(number)
            write(directory, one.files)
            jobs.append((one.name, directory, one.statements, one.subject))
        return identities(jobs)


def values() -> dict[str, str]:
    """Return the identities of values of many kinds."""
    return {text: identify(kinds.made(text)) for text in kinds.makes() if not LIBRARIES.search(text)}


def commands() -> dict[str, str]:
    """Return the identities of commands."""
    found = {}
    for name, options in COMMANDS.items():
        rest = {"executable": CONTENT, "inputs": [], "stdin": None, "outputs": [], "variables": {}, **options}
        found[name] = command_identity(command_record(rest.pop("argv"), **rest))[0]
    return found


def every() -> dict[str, dict[str, str]]:
    """Return the identities of all of them, by their kinds."""
    return {"functions": functions(), "values": values(), "commands": commands()}


if __name__ == "__main__":
    PATH.write_text(json.dumps({"python": PYTHON, **every()}, indent=1, ensure_ascii=True) + "\n")
