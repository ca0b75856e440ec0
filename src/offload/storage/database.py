"""What a database does: keep which result each transformation has, and the history of runs.

A row means that its result's buffers are stored: put buffers first, record after. Only ``complete`` rows are recalled.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from offload.errors import ChecksumMismatchError
from offload.identity.checksums import checksum
from offload.storage.records import Entry, Pruned, Result, Run, Transformation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from offload.storage.local.pruning import Kept

__all__ = ["Database", "Entry", "Pruned", "Result", "Run", "Transformation", "check_record", "judge"]


class Database(ABC):
    """Keeps transformation checksum -> result checksum, and the record of every run. Safe for many threads.

    Everything takes and gives batches; answers stand in the order of the questions.
    """

    @abstractmethod
    def lookup(self, transformations: Sequence[str]) -> list[str | None]:
        """Give the results that can be recalled.

        Returns
        -------
        list of str or None
            Result checksums; None where there is no ``complete`` row.
        """

    @abstractmethod
    def record(self, entries: Sequence[Entry]) -> list[str]:
        """Keep runs and their results, all of them or none.

        Returns
        -------
        list of str
            One outcome per entry: ``"recorded"``; ``"same"`` when the result was known; ``"irreproducible"`` when a
            different one was (a known ``complete`` result stays; any other gives way to a complete one);
            ``"replaced"`` when it was different, and `Entry.replace` said that its buffers are lost.

        Raises
        ------
        ChecksumMismatchError
            The checksum of an entry's record is not its transformation.
        """

    @abstractmethod
    def transformation(self, checksum: str) -> Transformation | None:
        """Give a transformation by its checksum, or by enough first digits of it.

        Raises
        ------
        UsageError
            The digits fit several transformations, or are no hexadecimal digits.
        """

    @abstractmethod
    def results(self, transformations: Sequence[str]) -> list[Result | None]:
        """Give the results of transformations, whatever their status."""

    @abstractmethod
    def nearest(self, kind: str, label: str, limit: int = 20) -> list[Transformation]:
        """Give the transformations of this kind and label, newest first."""

    @abstractmethod
    def producers(self, results: Sequence[str]) -> list[list[str]]:
        """Give, for each result, the transformations that have it."""

    @abstractmethod
    def makers(self, checksums: Sequence[str]) -> list[list[str]]:
        """Give, for each buffer, the transformations of which a run made it as a part of its result, newest first.

        The whole results are not among these parts: `producers` finds them.
        """

    @abstractmethod
    def users(self, checksums: Sequence[str]) -> list[list[str]]:
        """Give, for each buffer, the transformations that used it: as an argument, a file or an input, newest first."""

    @abstractmethod
    def runs(
        self,
        kind: str | None = None,
        label: str | None = None,
        text: str | None = None,
        since: float | None = None,
        limit: int = 50,
        transformation: str | None = None,
        until: float | None = None,
        outcome: str | None = None,
        host: str | None = None,
        pattern: str | None = None,
    ) -> list[Run]:
        """Give the history, newest first.

        Parameters
        ----------
        kind, transformation : str, optional
            Only runs that have exactly this.
        label : str, optional
            Only with this label, or, when it ends in ``*``, with labels that start with what stands before it.
        text : str, optional
            Only runs whose label contains it (ASCII letters match in either case).
        since : float, optional
            Only runs that started at this Unix time or later.
        until : float, optional
            Only runs that started before this Unix time.
        outcome : str, optional
            Only runs of which `record` said this; ``"forgotten"`` for those whose result was dropped since.
        host : str, optional
            Only runs on the machine of this name.
        pattern : str, optional
            Only runs whose label is this, where ``*`` stands for any characters, and ``?`` for one.
        limit : int
            At most so many.
        """

    @abstractmethod
    def forget(self, transformations: Sequence[str]) -> int:
        """Drop results; the runs stay in the history, marked as forgotten. Gives the number of results dropped."""

    @abstractmethod
    def find(self, kind: str | None = None, label: str | None = None, text: str | None = None) -> list[str]:
        """Give the transformations that have a result, newest first; `runs` says which are chosen."""

    def costs(self) -> Mapping[str, float]:
        """Give the seconds that buffers took to compute, by checksum; nothing where that is not known here."""
        return {}

    @abstractmethod
    def prune(self, before: float, kept: Kept, dry_run: bool = False) -> Pruned:
        """Make the history shorter, and give the room back.

        Runs that began before a time go. A result that can be recalled stays, with its last run. Any other, whose
        buffers are gone or which was forgotten, goes with its last run: then nothing is known of that computation.

        Parameters
        ----------
        before : float
            Unix time.
        kept : callable
            Tells of buffers whether they are in the store. A service asks its own store instead.
        dry_run : bool
            Only tell what would be removed.
        """

    @abstractmethod
    def statistics(self) -> dict[str, int]:
        """Count: ``transformations``, ``complete``, ``scratch``, ``foreign``, ``runs`` and ``irreproducible`` runs."""

    @abstractmethod
    def close(self) -> None:
        """Let go of files and connections."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def judge(known: tuple[str, str] | None, entry: Entry) -> tuple[str, bool]:
    """Decide what a new run means beside the result that is known.

    Parameters
    ----------
    known : (str, str), optional
        Result and status of the row there is.
    entry : Entry
        The run.

    Returns
    -------
    (str, bool)
        The outcome, and whether the entry's result becomes the row.
    """
    if known is None:
        return "recorded", True
    result, status = known
    promoted = entry.status == "complete" and status != "complete"
    if result == entry.result:
        return ("recorded", True) if promoted else ("same", False)
    if entry.replace and (entry.status == "complete" or status != "complete"):
        return "replaced", True
    return "irreproducible", promoted


def check_record(entry: Entry) -> None:
    """Raise ChecksumMismatchError unless an entry's transformation is the checksum of its record."""
    # Foreign transformations are named by checksums of other things.
    if entry.status != "foreign" and checksum(entry.record) != entry.transformation:
        raise ChecksumMismatchError(f"the record of {entry.label} does not have the checksum {entry.transformation}")
