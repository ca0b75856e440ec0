"""Results to buffers and back."""

from __future__ import annotations

from offload.errors import DecodeError, EncodeError
from offload.identity.cbor import PICKLE, head
from offload.identity.decoding import decode
from offload.identity.encoding import encode_chunks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from offload.identity.encoding import Chunk


def to_buffer(value: object) -> list[Chunk]:
    """Return a result's buffer, in chunks.

    Results with cycles, and those in which a part that can change stands in two places, are pickled as a whole: so
    they come back in one piece. Different bytes for equal ones can only make a later call compute again.

    Raises
    ------
    EncodeError
        If the result can be neither encoded nor pickled.
    """
    try:
        return encode_chunks(value, shared=False)
    except Exception as exc:  # whatever an encoding that the user registered may raise
        from offload.compute.inonepiece import dumps

        refused = exc if isinstance(exc, EncodeError) else EncodeError(f"it has no encoding: {exc!r}")
        try:
            data = dumps(value)
        except Exception:  # whatever the parts of the value may raise
            try:
                return encode_chunks(value)
            except Exception:  # as before
                raise refused from exc
        return [head(6, PICKLE), head(2, len(data)), data]


def from_buffer(data: bytes, transformation: str) -> Any:
    """Return the result that a buffer holds.

    Raises
    ------
    DecodeError
        If it cannot be rebuilt here; the hint says how to compute it again.
    """
    try:
        return decode(data)
    except Exception as exc:  # whatever a decoding that the user registered may raise
        message, hint = (exc.message, exc.hint) if isinstance(exc, DecodeError) else (repr(exc), None)
        raise DecodeError(
            f"the recorded result cannot be decoded: {message}",
            f"{hint or 'its code may have moved'}; or compute it again after: offload forget {transformation[:16]}",
        ) from exc
