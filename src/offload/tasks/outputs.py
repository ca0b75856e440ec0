"""Where files belong that calls make: :func:`output` tells a call where to write, and its result puts them there."""

from __future__ import annotations

import os
import shutil
import threading
from contextvars import ContextVar

from offload.effects.paths import OUTPUTS
from offload.errors import BufferMissingError, DecodeError, OffloadError, OutputError, UsageError
from offload.identity import files
from offload.identity.files import Directory, File
from offload.identity.origins import original

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextvars import Token
    from typing import Self

FOLDER = "outputs"


def output(path: str | os.PathLike[str]) -> File:
    r"""Say where a file belongs that a task makes, and return where the call writes it.

    The content is stored with the result. When the result arrives, computed or recalled, it lies at `path`, as an
    output of ``offload run`` does: put there at once, in place of what was there; what is the same already is left as
    it is, but for its time where an input of the call is newer. A call that fails puts nothing there.

    Parameters
    ----------
    path : str or path-like
        Where it belongs for the caller, relative to the directory of the program; directories on the way are made. With
        a slash at its end it is a directory, which is there already for the call to write into.

    Returns
    -------
    File
        `open` and all that takes a path accept it, and the call may return it, alone or within other values; as an
        :class:`offload.Directory` where it is one. For the call it is a place of its own, in a temporary directory, and
        for the caller it is `path`. Outside of a task it is `path` itself.

    Raises
    ------
    UsageError
        If nothing can be put there.

    Examples
    --------
    >>> import offload, os, tempfile
    >>> os.chdir(tempfile.mkdtemp())
    >>> @offload.task
    ... def squares(count):
    ...     table = offload.output("results/squares.csv")
    ...     with open(table, "w") as file:
    ...         file.writelines(f"{number},{number**2}\n" for number in range(count))
    ...     return table
    >>> squares(3).name
    'squares.csv'
    >>> os.remove("results/squares.csv")
    >>> with open(squares(3)) as file:  # recalled
    ...     len(file.readlines())
    3
    """
    text = original(os.fspath(path))
    if not text or "\0" in text or os.path.normpath(text) in (os.curdir, os.sep):
        raise UsageError(f"an output needs a name, and {text!r} is none", 'offload.output("results/table.csv")')
    cls = Directory if text.endswith(os.sep) else File
    calls = running()
    if calls is not None:
        return calls.place(cls, os.path.normpath(text))
    place = os.path.abspath(text)
    os.makedirs(place if cls is Directory else os.path.dirname(place), exist_ok=True)
    return _at(cls, place)


class Outputs:
    """The outputs of a call that is running.

    Parameters
    ----------
    directory : str
        Where to make the one that they are written to; "": in that for temporary files.
    checks : bool
        Whether this process is the one that they belong to.

    Attributes
    ----------
    folder : str
        The directory that they are written to; "" while there are none.
    """

    __slots__ = ("_around", "_checks", "_directory", "_met", "_places", "_token", "ended", "folder")

    def __init__(self, directory: str = "", checks: bool = False) -> None:
        self._directory = directory
        self._checks = checks
        self._around: Outputs | None = None  # those of a call that makes this one
        self._places: dict[str, File] = {}  # by where they belong
        self._met: list[File] = []  # those in the result
        self._token: Token[Outputs | None] | None = None
        self.folder = ""
        self.ended = False

    def __enter__(self) -> Self:
        """Let :func:`output` mean this call."""
        self._around = running()
        self._token = _running.set(self)
        _active.append(self)
        return self

    def __exit__(self, *raised: object) -> None:
        """Remove what has been written."""
        self.ended = True
        assert self._token is not None
        _running.reset(self._token)
        _active.remove(self)
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def place(self, cls: type[File], belongs: str) -> File:
        """Return where an output is written."""
        found = self._places.get(belongs)
        if found is None:
            if self._checks and self._around is None:
                from offload.storage.delivery import check_places

                check_places([belongs])
            found = self._places[belongs] = _at(cls, self._new(os.path.basename(belongs)))
            if cls is Directory:
                os.mkdir(found.path)
        return found

    def _new(self, name: str) -> str:
        if not self.folder:
            import tempfile

            if self._directory:
                os.makedirs(self._directory, exist_ok=True)
            self.folder = os.path.realpath(tempfile.mkdtemp(prefix=OUTPUTS[1:], dir=self._directory or None))
        place = os.path.join(self.folder, str(len(self._places)))
        os.mkdir(place)
        return os.path.join(place, name)

    def belongs(self, file: File) -> str | None:
        """Return where a file of the result belongs; None where it is no output, nor lies in one."""
        path = os.path.realpath(file.path) if self.folder else ""
        for belongs, one in self._places.items():
            if path == one.path or path.startswith(os.path.join(one.path, "")):
                self._met.append(file)
                _settle(one)
                _settle(file)
                return os.path.normpath(belongs + path[len(one.path) :])
        return None

    def written(self, belongs: str) -> str:
        """Return where an output is written that belongs somewhere; "" where there is none."""
        for place, one in self._places.items():
            if belongs == place or belongs.startswith(os.path.join(place, "")):
                return one.path + belongs[len(place) :]
        return ""

    def others(self) -> list[File]:
        """Return the outputs that are there and that the result does not hold."""
        met = {os.path.realpath(file.path) for file in self._met}
        found = [one for one in self._places.values() if one.path not in met and os.path.exists(one.path)]
        for one in found:
            _settle(one)
        return found

    def deliver(self, returned: Iterable[File], inputs: Callable[[], Sequence[File]]) -> None:
        """Put the outputs where they belong, and have the files in the result lie there.

        Parameters
        ----------
        returned : iterable of File
            Those in the result, as far as they were found.
        inputs : callable
            Gives the files that the call was made from.

        Raises
        ------
        OutputError
            If one cannot be put there.
        """
        arrival, moved = Arrival(inputs, self._around), dict[str, str]()
        for belongs, one in self._places.items():
            if os.path.exists(one.path):
                _settle(one)
                moved[one.path] = arrival.put(one, belongs)
        for file in {id(file): file for file in (*self._met, *returned, *self._places.values())}.values():
            path = os.path.realpath(file.path)
            for before, now in moved.items():
                if path == before or path.startswith(os.path.join(before, "")):
                    file.path = now + path[len(before) :]
                    files.made(file)


class Arrival:
    """Where the outputs of a result are put.

    Parameters
    ----------
    inputs : callable
        Gives the files that the call was made from: none of them is newer than its outputs.
    within : Outputs, optional
        Those of the call that has made this one: they become its own.
    directory : str
        That of the program; "": where it is now.
    """

    __slots__ = ("_directory", "_inputs", "_within")

    def __init__(
        self, inputs: Callable[[], Sequence[File]], within: Outputs | None = None, directory: str = ""
    ) -> None:
        self._inputs = inputs
        self._within = within
        self._directory = directory

    def __enter__(self) -> None:
        """Put what is decoded in this thread."""
        _arriving.now = self

    def __exit__(self, *raised: object) -> None:
        """Put nothing any more."""
        _arriving.now = None

    def take(self, cls: type[File], belongs: str, checksum: str, executable: bool) -> File:
        """Put an output that is stored where it belongs.

        Raises
        ------
        DecodeError
            If its content is not to be had.
        OutputError
            If it cannot be put there.
        """
        from offload.identity.directories import decode_manifest
        from offload.registry.session import current
        from offload.storage.delivery import deliver_stored
        from offload.storage.output_record import OutputRecord

        session = current()
        within = self._taking
        place = self._place(belongs) if within is None else within.place(cls, belongs).path
        item = OutputRecord(place, "directory" if issubclass(cls, Directory) else "file", checksum, executable)
        try:
            if item.kind == "directory":
                (data,) = session.store.get([checksum])
                if data is None:
                    raise BufferMissingError("its list of files is gone")
                item.entries = decode_manifest(data)
            deliver_stored([item], session.files, session.store, self._newest())
        except BufferMissingError as exc:
            raise DecodeError(f"{belongs}, an output of the call, is not to be had: {exc}") from exc
        except OffloadError as exc:
            raise OutputError(exc.message, exc.hint or _AGAIN) from exc
        found = _at(cls, place)
        files.made(found)
        return found

    def put(self, file: File, belongs: str) -> str:
        """Put an output that this process has made where it belongs; return the path.

        Raises
        ------
        OutputError
            If it cannot be put there.
        """
        from offload.identity.directories import scan
        from offload.registry.session import current
        from offload.storage.delivery import FoundOutput, deliver_found
        from offload.storage.output_record import OutputRecord

        within = self._taking
        place = self._place(belongs) if within is None else within.place(type(file), belongs).path
        try:
            tree, checksum = None, ""
            if isinstance(file, Directory):
                tree = scan(file.path)
                tree.manifest(dict(zip(tree.paths(), files.hasher(tree.paths()), strict=True)))
            else:
                checksum = file.checksum()
            kind = "file" if tree is None else "directory"
            item = OutputRecord(place, kind, checksum, os.access(file.path, os.X_OK))
            item.entries = [] if tree is None else tree.entries
            deliver_found([FoundOutput(item, file.path, tree)], current().files, self._newest())
        except OffloadError as exc:
            raise OutputError(exc.message, exc.hint or _AGAIN) from exc
        return place

    @property
    def _taking(self) -> Outputs | None:
        return None if self._within is None or self._within.ended else self._within

    def _place(self, belongs: str) -> str:
        return os.path.normpath(os.path.join(self._directory or os.getcwd(), belongs))

    def _newest(self) -> int:
        """Return when the newest input was modified, in nanoseconds."""
        times = [0]
        for file in self._inputs():
            paths = [file.path]
            if isinstance(file, Directory):
                paths += [os.path.join(root, name) for root, _, names in os.walk(file.path) for name in names]
            times += [os.stat(path).st_mtime_ns for path in paths if os.path.exists(path)]
        return max(times)


_AGAIN = "the result is recorded: make room for it, and call again"

_running: ContextVar[Outputs | None] = ContextVar("offload_outputs", default=None)
_active: list[Outputs] = []
_arriving = threading.local()


def running() -> Outputs | None:
    """Return those of the call that this thread runs, or works for."""
    found = _running.get()
    if found is not None and not found.ended:
        return found
    if len(_active) == 1 and threading.current_thread() is not threading.main_thread():  # one that the call has started
        return _active[0]
    return None


def arriving() -> Arrival | None:
    """Return where the outputs are put of the result that is being decoded in this thread."""
    return getattr(_arriving, "now", None)


def _at(cls: type[File], path: str) -> File:
    """Return a file that need not be there yet."""
    file = cls.__new__(cls)
    file.path = path
    return file


def _settle(file: File) -> None:
    """Have an output be what the call has made of it."""
    is_directory = os.path.isdir(file.path)
    if is_directory is not isinstance(file, Directory):
        file.__class__ = Directory if is_directory else File
