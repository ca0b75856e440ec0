"""Results to buffers and back."""

from __future__ import annotations

from contextlib import nullcontext

from offload.errors import DecodeError, EncodeError, OutputError
from offload.identity.values.cbor import CHANGING, MAKING, ON_COPIES, PICKLE, head
from offload.identity.values.decode import decode
from offload.identity.values.encode import Encoder, encode, identify
from offload.identity.values.replaced_classes import code_first
from offload.tasks import files as _files  # noqa: F401 - results hold files, and it says how they are brought back

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from offload.identity.files import File
    from offload.identity.functions.graph import Graph
    from offload.identity.values.encode import Chunk
    from offload.tasks.outputs import Arrival

# Before the result of a call that has changed its arguments, which were copies: for calls that are submitted only.
FROM_COPIES = head(6, ON_COPIES)
# Before that of a call that has changed what its function reaches, with what it has changed.
WITH_CHANGES = head(6, CHANGING)
# Before that of a call that has made outputs which it does not return, with these.
WITH_OUTPUTS = head(6, MAKING)


def to_buffer(value: object, graph: Graph | None = None, by_value: bool = False) -> tuple[list[Chunk], str | None]:
    """Return a result's buffer, in chunks, and what keeps it from being recorded: the buffer holds something else.

    Results with cycles, and those in which a part that can change stands in two places, are pickled as a whole: so
    they come back in one piece. Different bytes for equal ones can only make a later call compute again.

    Parameters
    ----------
    value : object
        What a call has returned.
    graph : Graph, optional
        Of its function: globals that it reaches come back as what they are.
    by_value : bool
        Whether the function came by value: what has the names of its classes here may be something else.

    Raises
    ------
    EncodeError
        If the result can be neither encoded nor pickled, or cannot be rebuilt.
    """
    chunks, exact = _written(value, graph)
    return chunks, None if exact else _difference(value, chunks, exact is None, graph, by_value)


def _written(value: object, graph: Graph | None, shared: bool = False) -> tuple[list[Chunk], bool | None]:
    from offload.identity.references import Names

    names = None if graph is None else Names(graph)
    encoder = Encoder(parts=None if shared else {}, names=names)
    try:
        encoder.write(value)
    except Exception as exc:  # whatever an encoding that the user registered may raise
        if shared:
            raise
        from offload.tasks.whole_pickles import dumps

        refused = exc if isinstance(exc, EncodeError) else EncodeError(f"it has no encoding: {exc!r}")
        try:
            data, altered = dumps(value, names)
        except Exception:  # whatever the parts of the value may raise
            try:
                return _written(value, graph, shared=True)
            except Exception:  # as before
                raise refused from exc
        return [head(6, PICKLE), head(2, len(data)), data], None if altered else False
    return encoder.chunks, encoder.exact


def _difference(value: object, chunks: list[Chunk], altered: bool, graph: Graph | None, by_value: bool) -> str | None:
    """Rebuild a result, and say that it is not what it was; `altered` where a library's class may alter itself.

    Raises
    ------
    EncodeError
        If it cannot be rebuilt.
    """
    data = b"".join(chunks)
    try:
        with code_first() if by_value else nullcontext():
            rebuilt = decode(data)
    except Exception as exc:  # whatever a decoding that the user registered may raise
        message, hint = (exc.message, exc.hint) if isinstance(exc, DecodeError) else (repr(exc), None)
        raise EncodeError(
            f"the result cannot be rebuilt from what would be recorded: {message}",
            hint or "return plainer values, or register an encoding with offload.register",
        ) from exc
    try:
        same = altered or b"".join(_written(rebuilt, graph)[0]) == data or identify(rebuilt) == identify(value)
        same = same or bool(rebuilt == value)
    except Exception:  # it cannot be compared: whatever its own ``==`` may raise
        same = True
    return None if same else f"a {type(value).__qualname__} that is rebuilt from what would be recorded is another"


def with_outputs(chunks: list[Chunk], others: list[File]) -> list[Chunk]:
    """Return a result's buffer together with outputs that the result does not hold, where there are any."""
    return [WITH_OUTPUTS, head(4, 2), *chunks, *_written(others, None)[0]] if others else chunks


def with_changes(chunks: list[Chunk], changes: list[Any], after: str) -> list[Chunk]:
    """Return a result's buffer together with changes, and the checksum of the graph after them."""
    return [WITH_CHANGES, head(4, 3), *chunks, encode(changes), encode(after)]


def and_changes(data: bytes, transformation: str, arrival: Arrival | None = None) -> tuple[Any, list[Any], str]:
    """Return the result that a buffer holds that :func:`with_changes` made, and the others.

    Raises
    ------
    DecodeError
        If it cannot be rebuilt here.
    """
    value, changes, after = from_buffer(data[len(WITH_CHANGES) :], transformation, arrival)
    return value, changes, after


def from_buffer(data: bytes | memoryview, transformation: str, arrival: Arrival | None = None) -> Any:
    """Return the result that a buffer holds; its outputs are put where they belong by its `arrival`.

    Raises
    ------
    OutputError
        If one of them cannot be put there.
    DecodeError
        If it cannot be rebuilt here; the hint says how to compute it again, where its transformation is known.
    """
    try:
        with arrival or nullcontext():
            return decode(data)
    except OutputError:
        raise
    except Exception as exc:  # whatever a decoding that the user registered may raise
        message, hint = (exc.message, exc.hint) if isinstance(exc, DecodeError) else (repr(exc), None)
        raise DecodeError(
            f"the recorded result cannot be decoded: {message}",
            (hint or "its code may have moved")
            + (f"; or compute it again after: offload forget {transformation[:16]}" if transformation else ""),
        ) from exc
