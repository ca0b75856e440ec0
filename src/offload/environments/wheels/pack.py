"""An installed distribution, packed as a wheel again: the same files, with metadata that suits another machine."""

from __future__ import annotations

import base64
import csv
import dataclasses
import hashlib
import io
import json
import os
import zipfile
from collections.abc import Iterator

from offload.environments.editable import editable_files
from offload.environments.installed import DIRECT, PROJECT, RELEASED, UNLISTED, Installed
from offload.errors import OffloadError

_NOT_PACKED = frozenset(("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "RECORD.jws", "RECORD.p7s"))
_MOMENT = (1980, 1, 1, 0, 0, 0)  # the same content gives the same wheel
_LEVEL = 6


@dataclasses.dataclass(frozen=True)
class Member:
    """A file of a wheel: its name in there, and where it is here or what it holds."""

    name: str
    path: str | None = None
    data: bytes = b""

    def read(self) -> bytes:
        """Return its content."""
        if self.path is None:
            return self.data
        content = _content(self.path)
        return _with_plain_shebang(content) if ".data/scripts/" in self.name else content


def wheel_name(one: Installed) -> str:
    """Return the file name of the wheel; where the version alone does not tell, with a digest of the content."""
    stem = _stem(one)
    build = f"-0x{content_digest(one)[:20]}" if one.kind != RELEASED else ""
    return f"{stem}{build}-{_tags(one)}.whl"


def pack(one: Installed, file: io.BufferedIOBase | object) -> None:
    """Write a distribution as a wheel.

    Parameters
    ----------
    one : Installed
        The distribution.
    file : binary file
        Is written to.
    """
    rows: list[tuple[str, str, str]] = []
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as archive:  # type: ignore[call-overload]
        for member in members(one):
            content = member.read()
            info = zipfile.ZipInfo(member.name, _MOMENT)
            info.compress_type = zipfile.ZIP_DEFLATED
            runs = member.path is not None and os.access(member.path, os.X_OK)
            info.external_attr = (0o100755 if runs else 0o100644) << 16
            archive.writestr(info, content)
            rows.append((member.name, _hash(content), str(len(content))))
        record = f"{_stem(one)}.dist-info/RECORD"
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([*rows, (record, "", "")])
        archive.writestr(zipfile.ZipInfo(record, _MOMENT), text.getvalue())


def size(one: Installed) -> int:
    """Return how many bytes the files of a distribution have."""
    return sum(os.path.getsize(member.path) if member.path else len(member.data) for member in members(one))


def content_digest(one: Installed) -> str:
    """Return a digest of the modules, whatever their place here. Those that do not change in place are not read."""
    digest = hashlib.sha256(f"{one.key}=={one.version}\n".encode())
    if one.source is not None:
        rows = [f"{name}\0{_hash(_content(path))}" for name, path in editable_files(one)]
    else:
        text = one.distribution().read_text("RECORD") or ""
        own = os.path.basename(one.metadata) + "/"
        rows = [row for row in text.splitlines() if not row.startswith((own, "..", "/")) and ".pyc," not in row]
    for row in sorted(rows):
        digest.update(f"{row}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def members(one: Installed) -> list[Member]:
    """Return the files of the wheel, without its RECORD: those that are there, so that both sides are alike.

    Raises
    ------
    OffloadError
        If it is not known which files belong to the distribution, or all have gone.
    """
    if one.kind == UNLISTED:
        raise OffloadError(f"{one.name} {one.version} has no list of its files here, so it cannot be packed")
    listed = [*_listed(one)]
    own = [member for member in listed if member.path is not None and os.path.isfile(member.path)]
    if one.source is not None:
        own += [Member(name.replace(os.sep, "/"), path) for name, path in editable_files(one)]
    elif listed and not own:
        raise OffloadError(
            f"the files of {one.name} {one.version} have gone: {listed[0].path}",
            f"install it again: pip install --force-reinstall {one.name}=={one.version}",
        )
    return list({member.name: member for member in [*_metadata(one), *own]}.values())


def _listed(one: Installed) -> Iterator[Member]:
    """Give the files that an installed distribution lists, but for its metadata and what is made at installation.

    Of an editable one, these are only scripts and data: its modules are elsewhere.
    """
    made = {point.name for point in one.distribution().entry_points if point.group.endswith("_scripts")}
    data = f"{_stem(one)}.data"
    prefix = os.path.normpath(os.path.join(one.root, "..", "..", ".."))
    for row in csv.reader(io.StringIO(one.distribution().read_text("RECORD") or "")):
        name = row[0].replace(os.sep, "/") if row else ""
        path = os.path.normpath(os.path.join(one.root, name))
        if not name or name.endswith(".pyc") or name.startswith(f"{os.path.basename(one.metadata)}/"):
            continue
        if not name.startswith(("../", "/")):
            if one.source is None:
                yield Member(name, path)
            continue
        below = os.path.relpath(path, prefix).replace(os.sep, "/")
        if below.startswith("bin/"):
            if below.removeprefix("bin/") not in made:
                yield Member(f"{data}/scripts/{below.removeprefix('bin/')}", path)
        elif not below.startswith("../"):  # else it is no part of the environment
            yield Member(f"{data}/data/{below}", path)


def _metadata(one: Installed) -> Iterator[Member]:
    folder = f"{_stem(one)}.dist-info"
    if not one.metadata.endswith(".dist-info"):  # an old editable one
        with open(os.path.join(one.metadata, "PKG-INFO"), "rb") as file:
            yield Member(f"{folder}/METADATA", data=file.read())
        points = os.path.join(one.metadata, "entry_points.txt")
        if os.path.exists(points):
            yield Member(f"{folder}/entry_points.txt", points)
        yield Member(f"{folder}/WHEEL", data=_plain_wheel("py3-none-any"))
    else:
        for place, below, files in os.walk(one.metadata):
            below[:] = sorted(name for name in below if name != "__pycache__")
            for name in sorted(files):
                path = os.path.join(place, name)
                inner = os.path.relpath(path, one.metadata).replace(os.sep, "/")
                if inner == "WHEEL" and one.source is not None:
                    yield Member(f"{folder}/WHEEL", data=_plain_wheel(_tags(one)))
                elif inner not in _NOT_PACKED:
                    yield Member(f"{folder}/{inner}", path)
    if one.kind in (PROJECT, DIRECT):
        # Says there, too, that this is somebody's own code, or was built by somebody, and so counts by content.
        origin = {"dir_info" if one.kind == PROJECT else "archive_info": {}, "url": f"file:///{one.key}"}
        yield Member(f"{folder}/direct_url.json", data=json.dumps(origin).encode())


def _plain_wheel(tag: str) -> bytes:
    return f"Wheel-Version: 1.0\nGenerator: offload\nRoot-Is-Purelib: true\nTag: {tag}\n".encode()


def _stem(one: Installed) -> str:
    """Return name and version as they stand in file names."""
    from packaging.utils import canonicalize_name

    return f"{canonicalize_name(one.name).replace('-', '_')}-{one.version.replace('-', '_')}"


def _tags(one: Installed) -> str:
    """Return interpreter, binary interface and platform that a distribution is for."""
    if one.source is not None:
        compiled = any(path.endswith(".so") for _, path in editable_files(one))
        return _here() if compiled else "py3-none-any"
    from email.parser import HeaderParser

    tags = HeaderParser().parsestr(one.distribution().read_text("WHEEL") or "").get_all("Tag") or ["py3-none-any"]
    parts = [tag.strip().split("-") for tag in tags]
    return "-".join(".".join(dict.fromkeys(part[i] for part in parts)) for i in range(3))


def _here() -> str:
    from packaging.tags import sys_tags

    return str(next(tag for tag in sys_tags() if "manylinux" not in tag.platform and "musllinux" not in tag.platform))


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _with_plain_shebang(content: bytes) -> bytes:
    """Return a script whose first line names a Python with the one that stands for the environment's."""
    first, _, rest = content.partition(b"\n")
    if first.startswith(b"#!") and b"python" in first:
        return b"#!python\n" + rest
    return content


def _hash(content: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
