"""Which commands run: written to a file as they come and go, for the parent of a starter that was killed."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_LINE = b"%19d %19d\n"  # a session, and the number of a command; zeros for a seat that is free
_SIZE = 40


class Seats:
    """Places for so many commands at once.

    Parameters
    ----------
    most : int
        How many.
    aside : str
        The directory of the file.
    """

    def __init__(self, most: int, aside: str) -> None:
        self.free = list(range(most))
        name = _name(aside, os.getpid())
        self._file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)

    def take(self, session: int, number: int) -> int:
        """Give a seat to a command, by its session and its number; return which."""
        seat = self.free.pop()
        os.pwrite(self._file, _LINE % (session, number), seat * _SIZE)
        return seat

    def leave(self, seat: int) -> None:
        """Free a seat."""
        os.pwrite(self._file, _LINE % (0, 0), seat * _SIZE)
        self.free.append(seat)


def seated(aside: str, starter: int) -> Iterator[tuple[int, int]]:
    """Give the sessions and the numbers of the commands that a starter was running when it ended."""
    try:
        with open(_name(aside, starter), "rb") as stream:
            lines = stream.read().replace(b"\0", b" ").splitlines()
    except FileNotFoundError:
        return  # it was killed before it had come so far
    for line in lines:
        session, number = map(int, line.split())
        if session:
            yield session, number


def _name(aside: str, starter: int) -> str:
    return f"{aside}/seats-{starter}"
