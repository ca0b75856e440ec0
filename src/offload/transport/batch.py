"""A batch of calls on its way to a worker."""

from __future__ import annotations

from typing import Any

from offload.registry.scope import seen_here
from offload.registry.shared_files import is_visible
from offload.transport import files as staged
from offload.transport.function import Ways
from offload.transport.sources import Sources, all_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.registry.shared_files import Mark
    from offload.storage.home import Home, Key
    from offload.transport.function import ShippedFunction

Arguments = tuple[Any, dict[str, Any]]
Packed = Arguments | bytes | Ways | staged.Staged


class Batch:
    """Calls of one function, to be run one after another.

    Parameters
    ----------
    home : Home
        Where calls record that the function makes, and the store that takes large results.
    function : ShippedFunction
        What is called.
    calls : list
        What :func:`offload.transport.pickling.packed` made of the arguments.
    scratch : bool
        Whether results are kept out of the store.

    Attributes
    ----------
    resources : Resources
        What each call needs of its worker.
    limits : Limits
        What each may use.
    python : Python or None
        The one that the function was identified by.
    program : WorkingDirectory or None
        The directory of the program that has submitted them.
    mark : Mark or None
        By which a worker finds out whether it sees the home; where it does not, results travel back. None: it does.
    directory : str
        This worker's own, which ends with it; each worker says where that is.
    reached : sequence of Sent
        Files that the function reaches, where they are read where they lie.
    seen : Sources or None
        The files that go by name, as this process has them.
    """

    __slots__ = (
        "calls", "directory", "environment", "files", "function", "home", "limits", "main", "mark",
        "payload", "program", "python", "reached", "resources", "scratch", "seen", "snapshot", "watched",
    )  # fmt: skip

    def __init__(self, home: Home, function: ShippedFunction, calls: list[Packed], scratch: bool = False) -> None:
        self.home: Key = home.key
        self.function = function.checksum
        self.payload = function.payload
        self.main = function.main
        self.environment = function.environment
        self.watched = function.watched
        self.files = function.files
        self.reached = function.seen
        self.snapshot = function.snapshot
        self.resources = function.resources
        self.limits = function.limits
        self.python = function.python
        self.program = function.program
        self.calls = calls
        self.scratch = scratch
        self.mark: Mark | None = None
        self.directory = ""
        self.seen: Sources | None = None

    @property
    def ways(self) -> list[Ways]:
        """What goes by name where its files are seen: the function, and arguments with parts of the project."""
        arguments = map(staged.without_files, self.calls)
        return [self.payload, *(each for each in arguments if isinstance(each, Ways))]

    @property
    def sources(self) -> Sources:
        """The files that this process needs to see for all of that; none where something cannot go by name."""
        if self.seen is not None:
            return self.seen
        ways = self.ways
        return all_of(way.sources for way in ways) if all(way.by_name is not None for way in ways) else Sources()

    @property
    def named(self) -> dict[tuple[str, str], str]:
        """The checksums of classes and functions among the arguments that go by name."""
        return {name: digest for way in self.ways for name, digest in way.named.items()}

    @property
    def at_home(self) -> bool:
        """Whether this process sees the home."""
        return self.mark is None or is_visible(self.mark)

    @property
    def storage(self) -> Key:
        """Where this process keeps results: as the home says, or, on another machine, through a storage service."""
        return seen_here(self.home)
