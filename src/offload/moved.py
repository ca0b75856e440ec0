"""Names that modules had before 0.2: for pickles of then, and for processes that were started then and run on.

Nothing else uses them. Whatever is imported by an old name is the module of today itself.
"""

from __future__ import annotations

import os
import sys
from importlib.abc import InspectLoader
from importlib.machinery import ModuleSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, ModuleType


def names() -> dict[str, str]:
    """Return what each old name is now, both without ``offload.``; an old package is nothing any more."""
    with open(os.path.join(os.path.dirname(__file__), "moved.txt"), encoding="utf-8") as file:
        return dict(line.split() for line in file)


class Moved(InspectLoader):
    """The loader of modules by old names.

    Parameters
    ----------
    new : str
        The module's name now; empty for a package that is no more.
    """

    def __init__(self, new: str) -> None:
        self._new = new

    def exec_module(self, module: ModuleType) -> None:
        """Put the module of today in the place of the empty one."""
        from importlib import import_module

        if self._new:
            sys.modules[module.__name__] = import_module(self._new)

    def get_source(self, fullname: str) -> None:
        """Return nothing: there is no text."""

    def get_code(self, fullname: str) -> CodeType:
        """Return a program that runs the module of today, for ``python -m``."""
        program = f"import runpy; runpy.run_module({self._new!r}, run_name='__main__', alter_sys=True)"
        return compile(program, fullname, "exec")


def find(name: str) -> ModuleSpec | None:
    """Return how to import what had a name once; ``None`` for what never had it."""
    known = names()
    old = name.removeprefix("offload.")
    if (new := known.get(old)) is not None:
        return ModuleSpec(name, Moved(f"offload.{new}"))
    if any(one.startswith(f"{old}.") for one in known):
        return ModuleSpec(name, Moved(""), is_package=True)
    return None
