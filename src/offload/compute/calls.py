"""One call of a task: its identity, and what is recorded of it."""

from __future__ import annotations

from offload.compute.provenance import where as where
from offload.compute.session import Session
from offload.identity.encoding import encode
from offload.storage.rows import Entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from offload.identity.calls import Bound
    from offload.identity.files import File
    from offload.identity.graph import Graph

SUMMARY_LENGTH = 120


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
    """

    __slots__ = (
        "args", "arguments", "bound", "files", "function", "kwargs", "label", "modules", "record", "scratch",
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
        self.bound = bound
        self.args = args
        self.kwargs = kwargs
        self.scratch = scratch

    def changed_file(self) -> str | None:
        """Return a file among the arguments that is not what it was when the call was identified, or None."""
        return next((f"{file}" for file, checksum in self.files if file.checksum() != checksum), None)

    def packed(self) -> Any:
        """Return the arguments in the form in which they travel to a worker.

        Raises
        ------
        EncodeError
            If they cannot be pickled.
        """
        from offload.compute.shipping import packed

        return packed(self.args, self.kwargs)

    def details(self, where: dict[str, object], parts: str) -> bytes:
        """Return what is kept of a run for people: where it was, and the arguments in short."""
        checksums = dict(self.arguments)
        arguments = [[n, checksums[n], type(v).__qualname__, summary(v)] for n, v in self.bound]
        return encode({**where, "parts": parts, "arguments": arguments})

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


def summary(value: object) -> str:
    """Return a short text for people that costs little, however large the value is."""
    try:
        text = _summary(value)
    except Exception:  # whatever the value's class may raise, and integers too long to be printed
        return ""
    return text if len(text) <= SUMMARY_LENGTH else text[:SUMMARY_LENGTH] + "..."


def _summary(value: Any) -> str:
    if type(value) in (str, bytes) and len(value) > SUMMARY_LENGTH:
        return repr(value[: SUMMARY_LENGTH + 1])
    if value is None or type(value) in (bool, int, float, complex, str, bytes):
        return repr(value)
    if type(value) in (list, tuple, dict, set, frozenset):
        return f"{len(value)} items" if len(value) > 8 else _few(value)
    if isinstance(value, (list, tuple, dict, set, frozenset)):
        return f"{len(value)} items"
    shape = getattr(value, "shape", None)
    return f"shape {shape}" if isinstance(shape, tuple) else ""


def _few(value: Any) -> str:
    """Return the repr of a small container of plain values, or how many there are."""
    items = [*value.keys(), *value.values()] if isinstance(value, dict) else list(value)
    plain = all(type(i) in (bool, int, float, str, type(None)) and (type(i) is not str or len(i) < 80) for i in items)
    return repr(value) if plain else f"{len(value)} items"


_explained: dict[tuple[str, ...], str] = {}


def explain(session: Session, graph: Graph) -> str:
    """Store what a function reaches, with its source, for ``why``; return the checksum of that buffer.

    It is stored once in a process for each home. The text is what is on disk now, which an edit may have changed since
    the import: it is shown, and never counted.
    """
    key = *session.home.key, graph.checksum
    if key not in _explained:
        import inspect

        nodes = []
        for node in graph.nodes:
            try:
                source = inspect.getsource(node.subject) if node.kind != "module" else None  # type: ignore[arg-type]
            except Exception:  # there is no file, or by now it holds what is no Python
                source = None
            nodes.append([node.kind, node.label, encode([node.kind, node.content]), source])
        _explained[key] = session.store.put([encode({"version": 1, "root": graph.content, "nodes": nodes})])[0]
    return _explained[key]
