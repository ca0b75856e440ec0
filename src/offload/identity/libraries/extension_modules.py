"""Extension modules count by their files, and by the libraries that these are linked with, as long as what is loaded
is what the files hold.
"""

from __future__ import annotations

import os

from offload.errors import IdentityError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

SUFFIXES = (".so", ".pyd", ".dylib")


def linked(file: str, checksum: Callable[[str], str]) -> list[object]:
    """Return what counts of the libraries that an extension module, or another library, is linked with."""
    from offload.identity.libraries.linked_libraries import linked_libraries

    found = linked_libraries(file, os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep))
    for name, path in found.items():
        check(name, path)
    return [[[name, checksum(path)] for name, path in sorted(found.items())]] if found else []


def check(name: str, file: str) -> None:
    """Refuse an extension module whose file has been exchanged since it was loaded: the process has the old code.

    A module that was loaded again from the new file is fine; many cannot be, since Python keeps what they were.

    Raises
    ------
    IdentityError
        If so.
    """
    path = os.path.realpath(file)
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
            mapped = {line.split(None, 5)[-1].rstrip("\n") for line in maps if path in line}
    except OSError:  # another system
        return
    if f"{path} (deleted)" in mapped and path not in mapped:
        raise IdentityError(
            f"the extension module {name} has been built anew since it was loaded here",
            "restart Python; a deployment: offload down, offload up",
        )
