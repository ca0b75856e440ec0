"""A Python that runs in a container of an image: a file of the other machine that is used as any Python is."""

from __future__ import annotations

import dataclasses
import os
import shlex
import sys

from offload.environments.choice import ENGINES, parse_choice
from offload.environments.probe import answer, text_of, wanted_version
from offload.errors import NotFoundError, NotWritableError, OffloadError, UsageError
from offload.hosts.base import Site

SECONDS, READY_SECONDS = 400.0, 60.0
"""How long an image's first container may take: some engines copy the whole image."""

FOLDER = "container"
"""Where in a deployment's place it is kept."""


@dataclasses.dataclass(frozen=True)
class Mounted:
    """For whom a container is, and what is seen in it.

    Attributes
    ----------
    name : str
        The deployment.
    home : str
        The home of offload on the container's machine; "" for the usual one.
    paths : tuple of str
        Directories that are seen in it under their own paths, beside the user's home, offload's and that of
        temporary files.
    """

    name: str = ""
    home: str = ""
    paths: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """Where below offload's home the Python is kept."""
        return os.path.join("deployments", self.name, FOLDER) if self.name else f"environments/.{FOLDER}"


@dataclasses.dataclass(frozen=True)
class Image:
    """An image that has a Python as it is needed.

    Attributes
    ----------
    engine, version : str
        The program that runs it, and what it says of its version.
    digest : str
        The engine's own name of its content.
    path : str
        The path of the Python in it.
    home, machine : str
        The directory of environments, and system and processor.
    directory : str
        Where what runs the Python is kept; "" where it was only looked at.
    """

    engine: str
    version: str
    digest: str
    path: str
    home: str
    machine: str
    directory: str = ""

    @property
    def bare(self) -> str:
        """The file that runs the image's own Python."""
        return f"{self.directory}/image"

    @property
    def python(self) -> str:
        """The file that runs the Python that was chosen with `choose`."""
        return f"{self.directory}/python"


def is_contained(python: str) -> bool:
    """Tell whether a path is that of a file that runs a Python in a container."""
    return os.path.basename(os.path.dirname(python)) in (FOLDER, f".{FOLDER}")


def find(site: Site, choice: str, mounted: Mounted | None) -> Image:
    """Return an image of a machine, and make the file there that runs its Python.

    Parameters
    ----------
    site : Site
        The machine.
    choice : str
        Such as ``container:IMAGE``.
    mounted : Mounted or None
        None to look only.

    Raises
    ------
    NotFoundError
        If there is no program that runs containers, or no such image.
    OffloadError
        If the image cannot be used, with the reason.
    """
    kind, _, image = parse_choice(choice)
    there = mounted or Mounted()
    values = {"wanted": wanted_version(), "abi": getattr(sys, "abiflags", ""), "engines": " ".join(ENGINES[kind])}
    values |= {"image": image, "base": there.home, "folder": there.folder if mounted is not None else ""}
    values |= {"stem": f"offload-{there.name or 'environment'}", "mounts": "\n".join(there.paths)}
    values |= {"launcher": text_of("launcher.sh"), "hold": text_of(os.path.join("payload", "container_init.py"))}
    head = "".join(f"{key}={shlex.quote(value)}\n" for key, value in values.items())
    told = answer(site, head + text_of("home.sh") + text_of("container.sh"), SECONDS)
    lines = [line.partition(" ")[::2] for line in told.strip().splitlines()]
    pythons = [value.split(" ", 3) for key, value in lines if key == "python"]
    found = dict(lines)
    _check(site, kind, image, found)
    wanted = f"{wanted_version()}."
    version, implementation, _, path = pythons[-1] if pythons else ("", "", "", "")
    if not version.startswith(wanted) or implementation != "cpython":
        what = f"Python {version} ({implementation}: {path})" if version else "no Python on its PATH"
        raise OffloadError(
            f"the image {image} on {site.name} has {what}; Python {wanted_version()} is needed, as here",
            f"use an image that has it, such as one made FROM python:{wanted_version()}",
        )
    machine = found["machine"].replace(" ", "-")
    engine, digest = found["engine"], found["image"]
    return Image(engine, found["version"], digest, path, found["home"], machine, found.get("directory", ""))


def _check(site: Site, kind: str, image: str, found: dict[str, str]) -> None:
    engine = found.get("engine", "")
    if "no-engine" in found:
        names = " or ".join(ENGINES[kind])
        raise NotFoundError(
            f"{site.name} runs no containers: {names} is not there", f"install {names} there, or use --environment sync"
        )
    if "absent" in found:
        raise NotFoundError(
            f"{engine} on {site.name} does not have the image {image}: {found['absent']}",
            f"there: {engine} pull {image}, or {engine} load -i FILE; {engine} images lists what it has",
        )
    if "failed" in found and "python" not in found:
        raise OffloadError(
            f"{engine} on {site.name} does not run {image}: {found['failed']}",
            f"try it there: {engine} run --rm --network host --pid host {image} python3 --version",
        )
    if "colon" in found:
        raise UsageError(f"{found['colon']} has a colon: it cannot be seen in a container", "use another directory")
    if "unmade" in found:
        raise NotWritableError(f"{found['unmade']} cannot be made on {site.name}", "choose another directory")


def ready(site: Site, image: Image, name: str) -> str | None:
    """Return the directory of an environment that works in the container, or None where it is not there."""
    place = f"{image.home}/{name}-{image.machine}"
    script = (
        f"place={shlex.quote(place)}\n"
        f'if [ -f "$place/environment.json" ] && OFFLOAD_INTERPRETER="$place/bin/python" {shlex.quote(image.bare)}'
        " -I -S -c '' </dev/null 2>/dev/null; then touch \"$place/used\"; echo; echo @@ready@@; fi\n"
    )
    done = site.run(["sh", "-s"], script.encode(), seconds=READY_SECONDS)
    return place if "@@ready@@" in done.text.splitlines() else None


def choose(site: Site, image: Image, python: str) -> str:
    """Have the file of an image run a Python that is seen in its containers; return the path of that file."""
    path = shlex.quote(f"{image.directory}/interpreter")
    chosen = image.path if python == image.bare else python
    script = f"printf '%s\\n' {shlex.quote(chosen)} >{path}.new && mv {path}.new {path}\n"
    site.run(["sh", "-s"], script.encode())
    return image.python


def container_of(site: Site, python: str) -> tuple[str, str] | None:
    """Return the engine and the name of the container that a file runs a Python in; None where the file is gone."""
    directory = shlex.quote(os.path.dirname(python))
    script = f'. {directory}/config && read -r name <{directory}/id && echo && echo "@@container $engine $name"\n'
    done = site.run(["sh", "-s"], script.encode(), check=False)
    for line in done.text.splitlines():
        mark, _, rest = line.partition(" ")
        if mark == "@@container":
            engine, _, name = rest.partition(" ")
            return engine, name
    return None


def remove(site: Site, container: tuple[str, str] | None) -> None:
    """See to it that a container is gone, as `container_of` gives it; it is no error if it is."""
    if container is not None:
        engine, name = container
        site.run([engine, "rm", "--force", name], check=False)
