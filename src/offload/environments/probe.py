"""One look at the other machine: is the environment there, and which Python could make it?"""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import sys

from offload.errors import NotFoundError, OffloadError, UsageError
from offload.hosts.base import Site

LOOK_SECONDS = 60.0
_BEGIN, _END = "@@offload begin@@", "@@offload end@@"
_CONDA_NAME = re.compile(r"[A-Za-z0-9][\w.+-]*")


@dataclasses.dataclass(frozen=True)
class Looked:
    """What was seen there.

    Attributes
    ----------
    home : str
        The directory of environments.
    machine : str
        System and processor, such as ``Linux-x86_64``.
    ready : str or None
        The directory of the environment that was asked for, where it is ready.
    python : str or None
        A Python as it is needed, if one was looked for.
    others : tuple of (str, str)
        Other Pythons: path, and version or what is wrong with it.
    modules : tuple of str
        Environment modules that may have it.
    """

    home: str
    machine: str
    ready: str | None
    python: str | None
    others: tuple[tuple[str, str], ...]
    modules: tuple[str, ...]


def wanted_version() -> str:
    """Return the minor version of Python that is needed: this one's."""
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def look(site: Site, home: str = "", name: str = "", chosen: str = "", conda: str = "") -> Looked:
    """Look for an environment, and where it is not ready for a Python: one command on the other machine.

    Parameters
    ----------
    site : Site
        The machine.
    home : str
        The directory of environments there; by default beside what else offload keeps there.
    name : str
        The environment's name; empty for none.
    chosen, conda : str
        The path of the Python to use, or the name of conda's environment.
    """
    if conda and not _CONDA_NAME.fullmatch(conda):
        raise UsageError(f"{conda!r} is no name of a conda environment", "write conda:NAME, or python:/path/of/python")
    values = {"wanted": wanted_version(), "abi": getattr(sys, "abiflags", ""), "name": name, "home": home}
    values |= {"chosen": chosen, "conda": conda}
    head = "".join(f"{key}={shlex.quote(value)}\n" for key, value in values.items())
    return _parsed(answer(site, head + text_of("home.sh") + text_of("finding.sh"), LOOK_SECONDS))


def text_of(name: str) -> str:
    """Return the text of a file that is sent to other machines."""
    with open(os.path.join(os.path.dirname(__file__), name), encoding="utf-8") as file:
        return file.read()


def answer(site: Site, script: str, seconds: float) -> str:
    """Return what a script writes between its marks on another machine.

    Raises
    ------
    OffloadError
        If there is nothing between them.
    """
    done = site.run(["sh", "-s"], script.encode(), seconds=seconds)
    _, begin, rest = done.text.partition(_BEGIN)
    inner, end, _ = rest.partition(_END)
    if not begin or not end:
        raise OffloadError(
            f"{site.name} was asked which Python it has, and answered something else",
            "do its start-up files (.bashrc, .cshrc, config.fish) end the shell, or start another one?",
        )
    return inner


def _parsed(inner: str) -> Looked:
    values: dict[str, str] = {}
    pythons: list[tuple[str, str]] = []
    modules: list[str] = []
    for line in inner.strip().splitlines():
        kind, _, value = line.partition(" ")
        if kind == "python":
            version, implementation, _, path = value.split(" ", 3)
            pythons.append((path, version if implementation == "cpython" else f"{implementation} {version}"))
        elif kind == "broken":
            pythons.append((value, "does not run"))
        elif kind == "module":
            modules.append(value)
        else:
            values[kind] = value
    found = values.get("found")
    others = tuple((path, version) for path, version in pythons if path != found)
    machine = values.get("machine", "").replace(" ", "-")
    return Looked(values.get("home", ""), machine, values.get("ready"), found, others, tuple(modules))


def no_python(site: Site, looked: Looked, chosen: str, conda: str) -> OffloadError:
    """Return the error that says what there is instead of the Python that is needed."""
    wanted = wanted_version()
    if conda:
        if looked.others:
            version = looked.others[-1][1]
            return OffloadError(
                f"conda's environment {conda} on {site.name} has Python {version}; {wanted} is needed, as here",
                f"make one: conda create -n {conda}-{wanted} python={wanted}",
            )
        return NotFoundError(
            f"{site.name} has no conda environment {conda}",
            "conda env list  there shows them; or python:/path/of/python",
        )
    if chosen:
        what = f"is Python {looked.others[-1][1]}" if looked.others else "is not there, or cannot be run"
        if looked.others and looked.others[-1][1] == "does not run":
            what = "does not run"
        return OffloadError(
            f"{chosen} on {site.name} {what}; Python {wanted} is needed, as here", _hint(looked, wanted)
        )
    if looked.others:
        what = ", ".join(
            f"{path} {version}" if version == "does not run" else f"Python {version} ({path})"
            for path, version in looked.others
        )
        return OffloadError(
            f"{site.name} has no Python {wanted}, as it runs here: there is {what}", _hint(looked, wanted)
        )
    return OffloadError(f"{site.name} has no Python at all, where one usually is", _hint(looked, wanted))


def _hint(looked: Looked, wanted: str) -> str:
    if looked.modules:
        return (
            f"there is a module: type  module load {looked.modules[0]}; which python{wanted}  there, and name what it "
            "prints: --environment sync:/path/of/python"
        )
    return (
        "if it is elsewhere, name it: --environment sync:/path/of/python; to get one without being root: "
        f"uv python install {wanted}"
    )
