"""The directory in which a runner's calls run: that of the program, where it is seen, or else an empty one.

A process has one, and a runner runs one call at a time. In an empty one, the files that were given to a call lie at the
places that they have in the program's directory, and what the call leaves is removed after it.
"""

from __future__ import annotations

import contextlib
import os
import socket

from offload.transport import files as staged
from offload.transport.load import own_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from offload.effects.record import Effects
    from offload.transport.batch import Batch
    from offload.transport.files import Sent

FOLDER = "work"


class Workplace:
    """The directory of the calls of a batch.

    Parameters
    ----------
    batch : Batch
        Tells that of the program, and of the worker.

    Attributes
    ----------
    own : str
        The empty one; "" where the calls run in the program's.
    """

    def __init__(self, batch: Batch) -> None:
        program = getattr(batch, "program", None)  # an earlier version's have none
        self._program = program.path if program is not None else "the directory of the program, which is gone,"
        self._batch = batch
        self._placed: set[str] = set()
        self.own = ""
        if program is not None and program.is_here():
            with contextlib.suppress(OSError):  # it may not be entered
                os.chdir(program.path)
                return
        self.own = os.path.realpath(os.path.join(own_directory(batch.directory), FOLDER))
        os.makedirs(self.own, exist_ok=True)
        os.chdir(self.own)

    def give(self, files: Sequence[Sent]) -> list[str]:
        """Have files that were sent along lie where they lie in the program's directory; return the paths."""
        if not files or not self.own:
            return []
        from offload.registry.session import session_at_home

        store = session_at_home(self._batch.storage).store
        for one in files:
            relative = os.path.relpath(one[0], self._program)
            if relative.startswith((os.pardir, os.curdir)):
                continue
            place = os.path.join(self.own, relative)
            os.makedirs(os.path.dirname(place), exist_ok=True)
            with contextlib.suppress(OSError):  # one that was given lies in another
                os.symlink(staged.put(one, store, own_directory(self._batch.directory)), place)
                self._placed.add(place)
        return list(self._placed)

    def tell_left(self, effects: Effects, returned: set[str]) -> None:
        """Take note of what a call leaves, and does not return: it is lost."""
        effects.written = [path for path in effects.written if not path.startswith(os.path.join(self.own, ""))]
        for path in self._left():
            if path not in returned and not path.startswith(tuple(os.path.join(one, "") for one in returned)):
                effects.wrote(os.path.relpath(path, self.own))

    def _left(self) -> Iterator[str]:
        for root, folders, names in os.walk(self.own):
            links = (name for name in folders if os.path.islink(os.path.join(root, name)))
            yield from (p for name in (*names, *links) if (p := os.path.join(root, name)) not in self._placed)

    @property
    def is_used(self) -> bool:
        """Whether anything lies in the directory of the calls' own."""
        try:
            return bool(self.own and os.listdir(self.own))
        except FileNotFoundError:
            return True

    def explain(self, error: BaseException) -> None:
        """Say with an error what to do where a file was looked for that only the program sees."""
        name = getattr(error, "filename", None)
        if not self.own or not isinstance(error, FileNotFoundError) or (isinstance(name, str) and os.path.isabs(name)):
            return
        named = repr(name) if isinstance(name, str) else "PATH"
        error.add_note(
            f"it ran on {socket.gethostname()}, in an empty directory: {self._program} is not seen there; pass "
            f"offload.File({named}) as an argument, or declare it: @offload.task(depends_on=[pathlib.Path({named})])"
        )

    def clear(self) -> bool:
        """Remove what a call has left; tell whether nothing is left of it."""
        if not self.is_used:
            return True
        from offload.commands.running.scratch import remove_tree

        self._placed.clear()
        with contextlib.suppress(OSError):
            os.chdir(os.sep)
            remove_tree(self.own)
            os.mkdir(self.own)
            os.chdir(self.own)
            return True
        return False

    def leave(self) -> None:
        """Let go of the directory: a runner that waits holds up no file system."""
        os.chdir(os.sep)
