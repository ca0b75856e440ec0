"""One call of a task: its identity, and what is recorded of it."""

from __future__ import annotations

from offload.errors import DecodeError, EncodeError
from offload.identity.references import importable
from offload.identity.values.decode import decode
from offload.identity.values.encode import encode
from offload.records.provenance import where as where
from offload.records.summary import shown_reads, summary
from offload.registry.session import Session
from offload.storage.records import Entry
from offload.tasks import replay

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from offload.identity.calls import Bound
    from offload.identity.files import File
    from offload.identity.functions.graph import Graph


_IMMUTABLE = {type(None), bool, int, float, complex, str, bytes}


class Call:
    """A call whose arguments are bound and identified.

    Attributes
    ----------
    label : str
        The function's ``module:qualname``.
    transformation : str
        The checksum of `record`.
    record : bytes
        The canonical record.
    args, kwargs
        What to call the function with.
    arguments : list of (str, str)
        Parameter and checksum.
    modules : frozenset of str
        Modules of installed distributions that the arguments reach, beyond those of the function.
    files : sequence of (File, str)
        The files among the arguments, at any depth, and their checksums.
    kept : list, optional
        The arguments as `keep` found them.
    """

    __slots__ = (
        "args", "arguments", "bound", "files", "function", "kept", "kwargs", "label", "modules", "record", "scratch",
        "transformation",
    )  # fmt: skip

    def __init__(
        self,
        label: str,
        function: str,
        identified: tuple[str, bytes, list[tuple[str, str]], frozenset[str]],
        bound: Bound,
        args: Sequence[Any],
        kwargs: dict[str, Any],
        scratch: bool,
    ) -> None:
        self.label = label
        self.function = function
        self.transformation, self.record, self.arguments, self.modules = identified
        self.files: Sequence[tuple[File, str]] = ()
        self.kept: list[Any] | None = None
        self.bound = bound
        self.args = args
        self.kwargs = kwargs
        self.scratch = scratch

    def changed_file(self) -> str | None:
        """Return a file among the arguments that is not what it was when the call was identified, or None."""
        return next((f"{file}" for file, checksum in self.files if file.checksum() != checksum), None)

    def changed_argument(self) -> str | None:
        """Return the name of an argument that is not what it was when the call was identified, or None.

        What the class of an argument keeps is a part of it. A file is looked at by `changed_file`.
        """
        return changed_in(self.bound, dict(self.arguments))

    def packed(self, files_are_sent: bool = False) -> Any:
        """Return the arguments in the form in which they travel to a worker.

        Parameters
        ----------
        files_are_sent : bool
            Whether the worker has copies of the files among them, and not the files.

        Raises
        ------
        EncodeError
            If they cannot be pickled.
        """
        from offload.transport.files import with_files
        from offload.transport.pickling import packed

        self.keep()
        implied = [(type(f), f.path, checksum) for f, checksum in self.files if f.implied]
        arguments = packed(self.args, self.kwargs, implied, dict(self.arguments))
        return with_files(arguments, self.files, files_are_sent) if self.files else arguments

    def keep(self) -> list[Any]:
        """Return the arguments as they are recorded; before anybody may change them."""
        if self.kept is None:
            self.kept = [replay.value(argument) for _, argument in self.bound]
        return self.kept

    def details(self, where: dict[str, object], parts: str) -> bytes:
        """Return what is kept of a run: where it was, the arguments in short, and as far as they are small, whole."""
        checksums = dict(self.arguments)
        arguments = [[n, checksums.get(n, ""), type(v).__qualname__, summary(v)] for n, v in self.bound]
        more = {"files": [[file.path, checksum] for file, checksum in self.files]} if self.files else {}
        return encode({**where, "parts": parts, "arguments": arguments, "values": self.keep(), **more})

    def entry(self, result: str, started: float, seconds: float, where: dict[str, object], parts: str) -> Entry:
        """Return what the database is to keep of a run of this call."""
        return Entry(
            self.transformation,
            "python",
            self.label,
            self.function,
            self.record,
            result,
            "scratch" if self.scratch else "complete",
            started,
            seconds,
            self.details(where, parts),
        )


def changed_in(bound: Bound, checksums: dict[str, str]) -> str | None:
    """Return the first parameter whose value has not the checksum that it had, or None."""
    from offload.identity.values.computed_attributes import is_unchanged

    for name, value in bound:
        checksum = checksums.get(name)
        if checksum is None or type(value) in _IMMUTABLE:
            continue
        try:
            if not is_unchanged(value, checksum):
                return name
        except EncodeError:  # it holds something new
            return name
    return None


_explained: dict[tuple[str, ...], str] = {}


def explain(session: Session, graph: Graph, label: str = "") -> str:
    """Store what a function reaches, with its source, for ``why`` and ``verify``; return that buffer's checksum.

    The code itself is kept beside it, if that is not too large. Both are stored once in a process for each home, and
    not at all where the last function of the label is the same, and is explained. The text is what is on disk then,
    which an edit may have changed since the import: it is shown, and never counted.
    """
    key = *session.home.key, graph.checksum
    if key not in _explained:
        _explained[key] = (label and _explained_before(session, graph, label)) or _explain(session, graph)
    return _explained[key]


def _explain(session: Session, graph: Graph) -> str:
    import inspect

    from offload.identity.libraries.sources import LARGE, shown_text

    find: Callable[[Any], str | None] = inspect.getsource if len(graph.nodes) <= LARGE else shown_text
    nodes = []
    for node in graph.nodes:
        try:
            source = find(node.subject) if node.kind != "module" else None
        except Exception:  # there is no file, or by now it holds what is no Python
            source = None
        nodes.append([node.kind, node.label, node.canonical(), source, shown_reads(node)])
    pickled = replay.code(graph) if graph.is_current() else None  # the call has changed what it was pickled with
    code = None if pickled is None else session.store.put([pickled])[0]
    known = {"version": 1, "root": graph.content, "nodes": nodes, "code": code, "main": importable("__main__")}
    return session.store.put([encode(known)])[0]


def _explained_before(session: Session, graph: Graph, label: str) -> str:
    """Return what an earlier process has stored of the same function of the same program; "" where that is not there.

    To pickle a function and find its source takes longer than all else of a first call.
    """
    last = next(iter(session.database.nearest("python", label, 1)), None)
    if last is None or last.function != graph.checksum:
        return ""
    for run in session.database.runs(transformation=last.checksum, limit=1):
        try:
            parts = decode(run.details)["parts"]
            (data,) = session.store.get([parts])
            known = decode(data or b"")
            same = (known["version"], known["main"]) == (1, importable("__main__"))
            if same and session.store.has([known["code"]])[0]:
                return str(parts)
        except (DecodeError, KeyError, TypeError, ValueError):
            pass  # it was recorded in another way
    return ""
