"""Files and directories as arguments: by their content and name, not by where they lie."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator

from offload.errors import DecodeError, EncodeError, UsageError
from offload.identity.checksums import checksum_of_chunks
from offload.identity.values.objects import register, register_layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

CHUNK = 1024 * 1024


def _read(path: str) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def file_checksum(path: str) -> str:
    """Return the SHA-256 of a file's content, read anew."""
    return checksum_of_chunks(_read(path))


def _checksums(paths: Sequence[str]) -> list[str]:
    return [file_checksum(path) for path in paths]


# How files are hashed. Storage, which this package must not know, puts its cache here.
hasher: Callable[[Sequence[str]], list[str]] = _checksums


class File(os.PathLike[str]):
    """A file given as an argument: it counts by its content and its name.

    Parameters
    ----------
    path : str or path-like
        An existing file. The function gets this object, which `open` and all that takes a path accept.

    Raises
    ------
    UsageError
        If there is no such file.

    Examples
    --------
    >>> import offload, pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "words.txt")
    >>> _ = path.write_text("one two three")
    >>> @offload.task
    ... def count_words(file):
    ...     with open(file) as stream:
    ...         return len(stream.read().split())
    >>> count_words(offload.File(path))
    3
    """

    _kind = "file"
    implied = False
    """Whether nobody has given it: another argument is made of its path, and stays so on a worker."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.path.abspath(os.fspath(path))
        if not (os.path.isdir if self._kind == "directory" else os.path.isfile)(self.path):
            raise UsageError(f"{path} is not a {self._kind}", "check the path, relative to the current directory")

    def __fspath__(self) -> str:
        return self.path

    def __reduce__(self) -> Any:
        return _arrived, (type(self), self.path)

    def __repr__(self) -> str:
        return f"offload.{type(self).__name__}({self.path!r})"

    @property
    def name(self) -> str:
        """The last part of the path."""
        return os.path.basename(self.path)

    def checksum(self) -> str:
        """Return the SHA-256 of the content, as 64 hexadecimal digits."""
        try:
            return hasher([self.path])[0]
        except OSError as exc:
            raise EncodeError(f"{self.path} cannot be read: {exc.strerror}") from exc


class Directory(File):
    """A directory given as an argument: it counts by its name and all that it holds.

    Parameters
    ----------
    path : str or path-like
        An existing directory. Names, contents, executable bits and symbolic links in it count.
    """

    _kind = "directory"

    def checksum(self) -> str:
        """Return the checksum of the directory's manifest."""
        from offload.identity.checksums import checksum
        from offload.identity.directories import scan

        tree = scan(self.path)
        paths = tree.paths()
        return checksum(tree.manifest(dict(zip(paths, hasher(paths), strict=True))))


def _cannot_keep(file: File, checksum: str) -> list[object]:
    raise EncodeError(f"{file} stands in a result, and there is no storage here to keep it")


def _cannot_bring(cls: type[File], path: str, checksum: str, executable: bool, belongs: str | None = None) -> File:
    raise DecodeError(f"{path} stands in a result, and there is no storage here to take it from")


# How files in results are kept, and brought back. Storage, which this package must not know, puts its own here.
keep: Callable[[File, str], list[object]] = _cannot_keep
bring: Callable[..., File] = _cannot_bring


def made(file: File) -> None:
    """Say that a file is there by the doing of the call that is running, if any."""
    sys.audit("offload.made", file.path)


def _place(file: File) -> list[object]:
    """Return where a file in a result lies, or belongs, which does not count; its content is kept."""
    return keep(file, file.checksum())


def _put(cls: type[File]) -> Callable[[Any, Any], File]:
    return lambda state, place: bring(cls, place[0], state[1], *place[1:])


_noting = threading.local()


class noting:  # noqa: N801 - it is used as a function is
    """Collect the files that are encoded or unpickled in this thread meanwhile; the encoded with their checksums."""

    __slots__ = ("_before",)

    def __enter__(self) -> list[tuple[File, str]]:
        """Return the list in which they are collected."""
        met: list[tuple[File, str]] = []
        self._before = getattr(_noting, "met", None)
        _noting.met = met
        return met

    def __exit__(self, *raised: object) -> None:
        """Collect for who did so before."""
        _noting.met = self._before


def arrived_with(args: tuple[Any, ...], kwargs: dict[str, Any], implied: Sequence[tuple[type[File], str, str]]) -> Any:
    """Return arguments that have been unpickled, where the files that they are made of are the same as they were.

    Raises
    ------
    EncodeError
        If one is not.
    """
    for cls, path, checksum in implied:
        try:
            file = cls(path)
            same = file.checksum() == checksum
        except (EncodeError, UsageError):
            same = False
        if not same:
            raise EncodeError(
                f"{path}, which an argument is made of, is not the same where the call runs",
                "pass offload.File(...), and open it in the function",
            )
        file.implied = True
        _note(file, checksum)
    return args, kwargs


def _arrived(cls: type[File], path: str) -> File:
    file = cls.__new__(cls)
    file.path = path
    _note(file, "")
    return file


def _note(file: File, checksum: str) -> None:
    met = getattr(_noting, "met", None)
    if met is not None:
        met.append((file, checksum))


def _state(file: File) -> list[str]:
    checksum = file.checksum()
    _note(file, checksum)
    sys.audit("offload.file", file.path)  # a call that is running has made use of it
    return [file.name, checksum]


for _cls in (File, Directory):
    register(_cls, encode=_state, decode=list, name=f"offload.{_cls.__name__}")
    register_layout(f"offload.{_cls.__name__}", _place, _put(_cls))
