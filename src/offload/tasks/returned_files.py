"""Files that calls return: their contents are stored beside the result, and are there again when it is recalled."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FunctionType, MemberDescriptorType, ModuleType

from offload.errors import DecodeError, EncodeError, OffloadError, StorageError
from offload.identity import files
from offload.identity.files import Directory, File
from offload.identity.inspection import attributes
from offload.tasks import outputs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from offload.storage.store import Store
    from offload.tasks.outputs import Outputs

FOLDER = "returned"
"""Below the home: files that were returned, and cannot lie where they were."""

_WITHOUT_PARTS = {type(None), bool, int, float, complex, str, bytes, bytearray, FunctionType, ModuleType, type}

_state = threading.local()


@contextmanager
def kept_in(store: Callable[[], Store] | None, made: Outputs, own: str = "") -> Iterator[None]:
    """Have the files of a result that is written meanwhile kept in the store that a function gives.

    Of the outputs that the call has `made`, it is recorded where they belong. Where it has run in a directory of its
    `own`, another file in that lies in the program's, once it has arrived.
    """
    before = getattr(_state, "kept", None)
    _state.kept = store, made, own
    try:
        yield
    finally:
        _state.kept = before


def keep(file: File, checksum: str) -> list[object]:
    """Keep the content of a file that stands in a result; return what to record of its place.

    Raises
    ------
    EncodeError
        If nothing can be kept here, or the file cannot be read.
    """
    from offload.transport import files as staged

    find, made, own = getattr(_state, "kept", None) or (None, None, "")
    if find is None or made is None:
        raise EncodeError(
            f"{file.path} cannot be kept: this worker does not see the storage of its deployment",
            "return the content of the file instead",
        )
    try:
        staged.send([(file, checksum)], find())
    except StorageError:
        raise
    except (OffloadError, OSError) as exc:
        raise EncodeError(f"{file.path} cannot be kept: {exc}") from exc
    executable = os.access(file.path, os.X_OK)
    if (belongs := made.belongs(file)) is not None:
        return ["", executable, belongs]
    return [os.path.relpath(file.path, own) if _is_below(file.path, own) else file.path, executable]


def _is_below(path: str, folder: str) -> bool:
    return bool(folder) and path.startswith(os.path.join(folder, ""))


def bring(cls: type[File], path: str, checksum: str, executable: bool, belongs: str | None = None) -> File:
    """Return a file that a call had returned: where it was, or, where that is another one by now, below the home.

    An output is put where it `belongs`, if the result is arriving.

    Raises
    ------
    DecodeError
        If its content is not to be had.
    """
    if belongs is not None:
        if (arrival := outputs.arriving()) is not None:
            return arrival.take(cls, belongs, checksum, executable)
        calls = outputs.running()
        path = (calls.written(belongs) if calls is not None else "") or _below_home(belongs, checksum)
    path = os.path.abspath(path)
    found = _there(cls, path, checksum)
    if found is None:
        folder = os.path.dirname(path)
        if os.path.lexists(path) or not os.path.isdir(folder) or not os.access(folder, os.W_OK | os.X_OK):
            path = _below_home(path, checksum)
            found = _there(cls, path, checksum)
    if found is None:
        _write(cls, path, checksum, executable)
        found = cls(path)
    files.made(found)
    return found


def returned(value: object) -> set[str]:
    """Return the paths of the files in a result; see `files_in`."""
    return {file.path for file in files_in(value)}


def files_in(value: object, depth: int = 4) -> list[File]:
    """Return the files in a result, at its first levels: in containers, and in attributes of objects."""
    found, seen, level = list[File](), set[int](), [value]
    for _ in range(depth + 1):
        parts: list[object] = []
        for item in level:
            if issubclass(type(item), File):
                found.append(item)  # type: ignore[arg-type]
            elif type(item) not in _WITHOUT_PARTS and id(item) not in seen:
                seen.add(id(item))
                parts.extend(_parts(item))
        level = parts
    return found


def _parts(value: object) -> Iterator[object]:
    """Yield what a value holds, without running code of its class."""
    for cls in (list, tuple, set, frozenset):
        if issubclass(type(value), cls):
            yield from cls.__iter__(value)  # type: ignore[arg-type]
    if issubclass(type(value), dict):
        yield from dict.values(value)  # type: ignore[arg-type]
    yield from (attributes(value) or {}).values()
    for made in type(value).__mro__:
        for name in vars(made).get("__slots__", ()):
            member = vars(made).get(name)
            if type(member) is MemberDescriptorType:
                with suppress(AttributeError):
                    yield member.__get__(value)


def _there(cls: type[File], path: str, checksum: str) -> File | None:
    try:
        file = cls(path)
        return file if file.checksum() == checksum else None
    except OffloadError:
        return None


def _below_home(path: str, checksum: str) -> str:
    from offload.registry.location import home

    return os.path.join(home(), FOLDER, checksum, os.path.basename(path) or "root")


def _write(cls: type[File], path: str, checksum: str, executable: bool) -> None:
    from offload.registry.session import current
    from offload.transport import files as staged

    store = current().store
    place = f"{path}.{os.getpid()}.{threading.get_ident()}.part"
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if issubclass(cls, Directory):
            staged.put_tree(place, checksum, store, writable=True)
        else:
            store.extract(checksum, place, 0o755 if executable else 0o644)
        if os.path.lexists(path):  # it has been damaged, or somebody was quicker
            staged.remove(path)
        os.rename(place, path)
    except (StorageError, OSError) as exc:
        raise DecodeError(f"{path}, which the call has returned, is not to be had: {exc}") from exc
