"""Which wheels fit the other machine: its interpreter, processor and C library."""

from __future__ import annotations

import os
import re
from typing import Any

TYPE_CHECKING = False
if TYPE_CHECKING:
    from packaging.tags import Tag

_LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}


class Platform:
    """A machine's interpreter, as far as wheels are concerned.

    Parameters
    ----------
    facts : dict
        What the machine has said: see `offload.environments.payload.facts`.

    Attributes
    ----------
    names : list of str
        The platforms that wheels may be for, best first.
    """

    def __init__(self, facts: dict[str, Any]) -> None:
        from packaging.tags import compatible_tags, cpython_tags

        major, minor = map(int, facts["version"].split(".")[:2])
        self._glibc: str | None = facts["glibc"]
        self._platform: str = facts["platform"]
        self.names = _platforms(self._platform, self._glibc, facts["macos"])
        tags = [*cpython_tags((major, minor), platforms=self.names)]
        tags += compatible_tags((major, minor), f"cp{major}{minor}", self.names)
        self._tags = frozenset(tags)

    def fits(self, wheel: str) -> bool:
        """Tell whether a wheel, by its file name, can be installed there."""
        tags = _tags(wheel)
        if not tags & self._tags:
            return False
        return not all(tag.platform.startswith("linux_") for tag in tags) or self._has_our_glibc()

    def _has_our_glibc(self) -> bool:
        """Tell whether what was compiled on this machine, against its own C library, can be loaded there."""
        ours = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")[2]
        return self._glibc is not None and _numbers(self._glibc) >= _numbers(ours)

    def __str__(self) -> str:
        return f"{self._platform} with glibc {self._glibc}" if self._glibc else self._platform


def wheel_of(name: str, version: str, wheels: list[str]) -> list[str]:
    """Return the wheels that are a release of this version, by their file names.

    Examples
    --------
    >>> wheel_of("a.b", "6.0", ["a_b-6.0-py3-none-any.whl", "a_b-6.1-py3-none-any.whl", "a_b-6.0-0xf-py3-none-any.whl"])
    ['a_b-6.0-py3-none-any.whl']
    """
    from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
    from packaging.version import InvalidVersion, Version

    found = []
    for wheel in wheels:
        try:
            key, its_version, build, _ = parse_wheel_filename(wheel)
            if key == canonicalize_name(name) and its_version == Version(version) and (not build or build[0]):
                found.append(wheel)
        except (InvalidWheelFilename, InvalidVersion):
            continue  # it is none of those that are looked for
    return found


def _tags(wheel: str) -> frozenset[Tag]:
    from packaging.tags import parse_tag

    return parse_tag("-".join(wheel.removesuffix(".whl").rsplit("-", 3)[1:]))


def _platforms(platform: str, glibc: str | None, macos: str) -> list[str]:
    from packaging.tags import mac_platforms

    plain = re.sub(r"[-.]", "_", platform)
    if platform.startswith("macosx"):
        arch = platform.rpartition("-")[2]
        major, minor = (*_numbers(macos or platform.split("-")[1]), 0)[:2]
        return list(mac_platforms((major, minor), "arm64" if arch == "universal2" else arch))
    if not platform.startswith("linux"):
        return [plain]
    arch = plain.removeprefix("linux_")
    found = []
    if glibc is not None and _numbers(glibc)[0] == 2:
        for minor in range(_numbers(glibc)[1], 4, -1):
            found.append(f"manylinux_2_{minor}_{arch}")
            found += [f"{_LEGACY[minor]}_{arch}"] if minor in _LEGACY else []
    elif glibc is None:
        found = [f"musllinux_1_{minor}_{arch}" for minor in (2, 1, 0)]
    return [*found, plain]


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:2])
