"""Wheels: received into the cache of this machine, and installed from it."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import os
import zipfile
from email.parser import HeaderParser
from typing import Any, BinaryIO

_PIECE = 1 << 20


def receive(home: str, stream: BinaryIO) -> dict[str, Any]:
    """Take wheels from a stream, each a line of JSON and its bytes; what is whole counts, whatever comes after."""
    folder = os.path.join(home, "wheels")
    make_home(home)
    taken = 0
    while line := stream.readline():
        head = json.loads(line)
        if head.get("end"):
            return {"received": taken}
        name, left = os.path.basename(head["name"]), head["size"]
        partial = os.path.join(folder, f".{name}.{os.getpid()}")
        digest = hashlib.sha256()
        try:
            with open(partial, "wb") as file:
                while left and (piece := stream.read(min(left, _PIECE))):
                    file.write(piece)
                    digest.update(piece)
                    left -= len(piece)
            if left:
                break
            if digest.hexdigest() != head["sha256"]:
                return {"trouble": {"kind": "other", "path": name, "reason": "it has arrived damaged"}}
            os.rename(partial, os.path.join(folder, name))
        finally:
            if os.path.exists(partial):
                os.unlink(partial)
        taken += 1
    return {"trouble": {"kind": "cut", "path": folder, "reason": f"the stream ended after {taken} wheels"}}


def make_home(home: str) -> None:
    """Make the directory of environments, and that of wheels in it; for nobody else, as all of offload's."""
    os.makedirs(os.path.dirname(os.path.dirname(home)), exist_ok=True)
    for path in (os.path.dirname(home), home, os.path.join(home, "wheels")):
        os.makedirs(path, 0o700, exist_ok=True)


def install(wheel: str, prefix: str, final: str) -> None:
    """Unpack a wheel into an environment.

    Parameters
    ----------
    wheel : str
        The file.
    prefix : str
        The environment's directory.
    final : str
        Where the directory will be when it is complete: what scripts name.
    """
    site = site_packages(prefix)
    python = os.path.join(final, "bin", "python")
    rows: list[tuple[str, str, str]] = []

    def put(target: str, content: bytes, runs: bool) -> None:
        real = os.path.normpath(target)
        if os.path.commonpath([real, prefix]) != prefix:
            raise ValueError(f"{os.path.basename(wheel)} has a file outside of the environment: {target}")
        os.makedirs(os.path.dirname(real), exist_ok=True)
        with open(real, "wb") as file:
            file.write(content)
        if runs:
            os.chmod(real, 0o755)
        hashed = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        rows.append((os.path.relpath(real, site), f"sha256={hashed}", str(len(content))))

    with zipfile.ZipFile(wheel) as archive:
        info = next(n.partition("/")[0] for n in archive.namelist() if n.partition("/")[0].endswith(".dist-info"))
        data = f"{info.removesuffix('.dist-info')}.data/"
        for entry in archive.infolist():
            name = entry.filename
            if name.endswith("/") or name == f"{info}/RECORD":
                continue
            content, runs = archive.read(entry), bool(entry.external_attr >> 16 & 0o111)
            if not name.startswith(data):
                put(os.path.join(site, name), content, runs)
                continue
            kind, _, below = name.removeprefix(data).partition("/")
            if kind == "scripts":
                put(os.path.join(prefix, "bin", below), _for_here(content, python), True)
            elif kind in ("purelib", "platlib"):
                put(os.path.join(site, below), content, runs)
            elif kind == "headers":
                put(os.path.join(prefix, "include", "site", info.partition("-")[0], below), content, runs)
            elif kind == "data":
                put(os.path.join(prefix, below), content, runs)
        points = f"{info}/entry_points.txt"
        if points in archive.namelist():
            for script, target in _scripts(archive.read(points).decode("utf-8")):
                put(os.path.join(prefix, "bin", script), _for_here(_starter(target), python), True)
    put(os.path.join(site, info, "INSTALLER"), b"offload\n", False)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([*rows, (f"{info}/RECORD", "", "")])
    with open(os.path.join(site, info, "RECORD"), "w", encoding="utf-8") as file:
        file.write(text.getvalue())


def site_packages(prefix: str) -> str:
    """Return where an environment of this Python keeps modules."""
    import sysconfig

    return sysconfig.get_path("purelib", "posix_prefix", {"base": prefix, "platbase": prefix})


def metadata_of(wheel: str) -> tuple[str, str]:
    """Return name and version of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA") and n.count("/") == 1)
        found = HeaderParser().parsestr(archive.read(name).decode("utf-8"))
    return str(found["Name"]), str(found["Version"])


def _scripts(text: str) -> list[tuple[str, str]]:
    import configparser

    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    parser.optionxform = str  # type: ignore[method-assign, assignment]
    parser.read_string(text)
    groups = [name for name in ("console_scripts", "gui_scripts") if parser.has_section(name)]
    return [(name, target) for group in groups for name, target in parser.items(group)]


def _starter(target: str) -> bytes:
    module, _, attribute = target.partition("[")[0].strip().partition(":")
    first = attribute.partition(".")[0]
    return (
        f"#!python\nimport sys\n\nfrom {module} import {first}\n\n"
        f'if __name__ == "__main__":\n    sys.exit({attribute}())\n'
    ).encode()


def _for_here(content: bytes, python: str) -> bytes:
    """Return a script that starts with this environment's Python, whatever its path."""
    first, _, rest = content.partition(b"\n")
    if not first.startswith(b"#!python"):
        return content
    if len(python) < 120 and " " not in python:
        return f"#!{python}\n".encode() + rest
    # A kernel reads 127 bytes, and splits at spaces: sh reads the second line, Python takes it for a text.
    return f"#!/bin/sh\n'''exec' \"{python}\" \"$0\" \"$@\"\n' '''\n".encode() + rest
