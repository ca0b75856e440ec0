"""Write docs/reference/python.md from the docstrings of the public names; ``--check`` only compares.

Run as ``python tools/python_reference.py [--check]``.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from types import ModuleType

from documents import ROOT

import offload
from offload.identity import report
from offload.tasks.deferred import Begun

PAGE = ROOT / "docs" / "reference" / "python.md"
HEAD = """\
# Python reference

Generated from the docstrings by `make docs`; edit those, not this page.
"""


class _Plain(str):
    """An annotation that is shown as it was written."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def signature(thing: object) -> str:
    """The parameters of a function or class as they were written, or nothing."""
    try:
        found = inspect.signature(thing)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return ""
    plain = [
        parameter.replace(annotation=_Plain(parameter.annotation))
        if isinstance(parameter.annotation, str)
        else parameter
        for parameter in found.parameters.values()
        if parameter.name != "self"
    ]
    back = found.return_annotation
    if isinstance(back, str):
        back = _Plain(back)
    return str(found.replace(parameters=plain, return_annotation=back))


def entry(name: str, thing: object) -> str:
    """One fenced block: how it is called and what its docstring says."""
    text = f"{name}{signature(thing)}"
    about = inspect.cleandoc(getattr(thing, "__doc__", None) or "")
    if about:
        text += "\n\n" + "\n".join(f"    {line}".rstrip() for line in about.splitlines())
    return f"```text\n{text}\n```\n"


def members(thing: type) -> Iterator[tuple[str, object]]:
    """The public methods and properties that a class of offload defines, itself or with its base for type checkers."""
    known = {**vars(Begun), **vars(thing)} if issubclass(thing, Begun) else vars(thing)
    for name, member in sorted(known.items()):
        if not name.startswith("_") and (callable(member) or isinstance(member, property)) and member.__doc__:
            yield name, member


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for name in offload.__all__:
        thing = getattr(offload, name)
        parts.append(f"## {name}\n")
        if isinstance(thing, str):
            parts.append(f"The string `{thing}`: the version.\n")
            continue
        if isinstance(thing, ModuleType):  # the package that can be called
            thing = report.identity
        parts.append(entry(f"offload.{name}", thing))
        if isinstance(thing, type):
            parts.extend(entry(f"{name}.{part}", member) for part, member in members(thing))
    return "\n".join(parts)


def main() -> int:
    """Write the page, or say that it is out of date."""
    text = page()
    if "--check" not in sys.argv[1:]:
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(text, encoding="utf-8")
        return 0
    if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
        print(f"{PAGE.relative_to(ROOT)} differs from the docstrings: run `make docs`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
