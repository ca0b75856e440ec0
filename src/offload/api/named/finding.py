"""Where the environment is that a task names: a directory of it, or its Python."""

from __future__ import annotations

import os
import sys
from functools import cache

from offload.environments.pins import reader_of
from offload.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_LOCKS = (".txt", ".lock")
_OTHERS = {
    "poetry.lock": "make one of it: poetry export -o analysis.lock",
    "pdm.lock": "make one of it: pdm export -f pylock -o pylock.toml",
    "Pipfile.lock": "make one of it: pipenv requirements > analysis.lock",
    "pixi.lock": "",
}
"""Lock files that are not read, and what to do with them."""


def find_python(named: str, file: str | None) -> str:
    """Return the Python of an environment; one of a lock file is made where it is not there.

    Parameters
    ----------
    named : str
        Its directory, its Python, or a lock file: a list of requirements, ``uv.lock`` or ``pylock.toml``. Where that
        is relative, it is looked for beside the file, in the directories above it, and in the current one.
    file : str or None
        The file that names it.

    Raises
    ------
    UsageError
        If there is none.
    """
    for place in _places(os.path.expanduser(named), file):
        if os.path.isdir(place):
            place = os.path.join(place, "bin", "python")
        if os.path.isfile(place) and os.access(place, os.X_OK):
            return place
        if not os.path.isfile(place):
            continue
        if reader_of(place) is not None or (place.endswith(_LOCKS) and os.path.basename(place) not in _OTHERS):
            from offload.api.named.locked import python_of
            from offload.notices import tell
            from offload.registry.session import current

            return python_of(place, os.path.join(current().home.path, "environments"), tell)
        name = os.path.basename(place)
        what = f"environment={named!r} is no list of names and versions, as pip and uv install them"
        if place.endswith((".yml", ".yaml")) or name == "pixi.lock":
            raise UsageError(
                what,
                f"make an environment of it, and name its directory: conda env create -p .conda -f {named}, then "
                'environment=".conda"',
            )
        if name in _OTHERS or place.endswith(".toml"):
            raise UsageError(
                what, _OTHERS.get(name) or f"make one: uv lock, or uv pip compile {named} -o analysis.lock"
            )
    raise UsageError(
        f"there is no environment {named}",
        "give the directory of a virtual or conda environment, as it is seen from the file of the task: "
        '@offload.task(environment=".venv")',
    )


def _places(named: str, file: str | None) -> Iterator[str]:
    if os.path.isabs(named):
        yield named
        return
    above = os.path.dirname(os.path.abspath(file)) if file else os.getcwd()
    while True:
        yield os.path.join(above, named)
        if above == (above := os.path.dirname(above)):
            break
    yield os.path.abspath(named)


@cache
def is_own(python: str) -> bool:
    """Tell whether a Python is that of this process."""
    prefix = os.path.dirname(os.path.dirname(python))
    return python == sys.executable or (
        os.path.realpath(prefix) == os.path.realpath(sys.prefix) and os.path.samefile(python, sys.executable)
    )
