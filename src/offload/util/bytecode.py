"""Bytecode that Python keeps beside modules: whether it was made from their text.

Python takes it for that of a text of the same size and time, in whole seconds. A file that was edited within a second
of its import, or that has the time of an earlier one (as archives and `touch` set it), then runs as it was before.
Nobody can set when a file was changed last, its ctime: bytecode that is younger than that comes from the file.
"""

from __future__ import annotations

import os
import sys
from _frozen_importlib_external import SourceFileLoader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

MARGIN_NS = 2_000_000_000
"""What may lie between reading a text and writing its bytecode, or between two times that file systems tell apart."""

FOLDER = "__pycache__"

_STANDARD = os.path.dirname(os.__file__) + os.sep
_SITES = ("/site-packages/", "/dist-packages/")

_known: set[tuple[str, int, int]] = set()  # found to be from its text, where that cannot be noted
_read = SourceFileLoader.get_data


def is_proven(source: str, bytecode: str) -> bool:
    """Tell whether bytecode, where there is any, is younger than the last change to the text."""
    try:
        made, text = os.stat(bytecode), os.stat(source)
    except OSError:
        return True  # Python finds nothing there
    if made.st_mtime_ns > text.st_ctime_ns + MARGIN_NS:
        return not sys.pycache_prefix or made.st_dev == text.st_dev  # another file system may have another clock
    return (bytecode, made.st_mtime_ns, text.st_ctime_ns) in _known


def doubt() -> None:
    """Have this process compile modules of projects where their bytecode may be that of another text."""
    SourceFileLoader.get_data = _get_data  # type: ignore[method-assign, assignment]
    for module in list(sys.modules.values()):
        names = vars(module) if type(module) is type(sys) else {}
        source, bytecode = names.get("__file__"), names.get("__cached__")
        if isinstance(source, str) and isinstance(bytecode, str) and _counts(source) and not _settled(source, bytecode):
            from offload.notices import tell

            tell(
                f"{source} was changed, and Python has taken the bytecode of before for it: this program runs the "
                "code of before; start it again"
            )


def drop_stale(sources: Iterable[str]) -> None:
    """Remove bytecode, for whatever Python, that would be taken for that of files and is not known to be theirs."""
    listed: dict[str, list[str]] = {}
    for source in sources:
        if source.endswith(".py"):
            directory, name = os.path.split(source)
            if directory not in listed:
                try:
                    listed[directory] = os.listdir(f"{directory}/{FOLDER}")
                except OSError:  # there is none
                    listed[directory] = []
            for made in listed[directory]:
                if made.startswith(f"{name[:-3]}."):
                    _settled(source, f"{directory}/{FOLDER}/{made}")


def source_of(path: str) -> str:
    """Return the text that bytecode was made from, where a path names such; else the path itself."""
    directory, name = os.path.split(path)
    if not name.endswith(".pyc") or os.path.basename(directory) != FOLDER:
        return path
    return os.path.join(os.path.dirname(directory), f"{name.partition('.')[0]}.py")


def _get_data(self: SourceFileLoader, path: str) -> bytes:
    if path.endswith(".pyc") and _counts(self.path) and not _settled(self.path, path):
        raise FileNotFoundError(path)  # then the text is compiled, and bytecode written anew
    return _read(self, path)


def _counts(source: str) -> bool:
    """Tell whether a file counts by its content, and not by the version of a library."""
    return not source.startswith(_STANDARD) and not any(site in source for site in _SITES)


def _settled(source: str, bytecode: str) -> bool:
    """Tell whether bytecode is that of a text; what is not is removed, and what is becomes younger."""
    try:
        if is_proven(source, bytecode) or not _is_taken(source, bytecode):
            return True
        changed, same = os.stat(source).st_ctime_ns, _is_same(source, bytecode)
    except OSError:  # another process has removed it, or it cannot be read: Python does not take it either
        return True
    try:
        (os.utime if same else os.unlink)(bytecode)
    except OSError:  # it has gone by now, or may not be changed
        pass
    if same:
        try:
            _known.add((bytecode, os.stat(bytecode).st_mtime_ns, changed))
        except FileNotFoundError:
            pass
    return same


def _is_taken(source: str, bytecode: str) -> bool:
    """Tell whether Python takes bytecode for that of a text."""
    about = os.stat(source)
    with open(bytecode, "rb") as file:
        head = file.read(16)
    kind = int.from_bytes(head[4:8], "little")
    numbers = b"".join((int(number) & 0xFFFFFFFF).to_bytes(4, "little") for number in (about.st_mtime, about.st_size))
    return head[8:] == numbers if kind == 0 else kind == 1  # by a checksum; 3: one that Python compares


def _is_same(source: str, bytecode: str) -> bool:
    import marshal
    import warnings
    from importlib.util import MAGIC_NUMBER

    with open(bytecode, "rb") as file:
        head, made = file.read(16), file.read()
    if not head.startswith(MAGIC_NUMBER):
        return False
    level = next((number for number in (1, 2) if bytecode.endswith(f".opt-{number}.pyc")), 0)
    try:
        with open(source, "rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            text = compile(file.read(), source, "exec", dont_inherit=True, optimize=level)
        return bool(marshal.loads(made) == text)
    except (SyntaxError, ValueError, EOFError, TypeError):
        return False
