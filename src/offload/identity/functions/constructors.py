"""What all instances of a plain class of the project begin with: how they are made, and which class it is.

Such an object is the same few parts as its like, but for its attributes. Naming its class asks whether anything that
the class reaches has changed; that is asked once for each value that is identified, and not for each object in it.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

from offload.identity.functions.identify import closure
from offload.identity.inspection import attributes, runs_code
from offload.identity.libraries.distributions import PROJECT, origin
from offload.identity.references import reference_name
from offload.identity.values.cbor import REDUCED, head
from offload.identity.values.encode import Encoder
from offload.identity.values.globals import is_plain
from offload.identity.values.hidden_state import NEWOBJ

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# By class: its name and checksum then, what instances begin with, and the modules of libraries that it reaches.
_known: WeakKeyDictionary[type, tuple[str, str, bytes, set[str]]] = WeakKeyDictionary()
_NOTHING_MORE = b"\xf6\xf6\xf6"  # neither items nor pairs, and no setter


def has_beginning(encoder: Encoder, cls: type) -> bool:
    """Tell whether the instances of a class can be written by `write_with_beginning`.

    They are those that `object` reduces, where they are only told apart, and nothing is noted of what is met.
    """
    if type(encoder) is not Encoder or encoder.portable or encoder.refer is not None or encoder.parts is not None:
        return False
    if encoder.pieces is not None or not (is_plain(cls) and runs_code(cls)):
        return False
    if origin(cls.__module__) != PROJECT:
        return False
    encoder.beginnings[cls] = _beginning(encoder, cls)
    return True


def write_with_beginning(encoder: Encoder, value: Any, beginning: bytes) -> None:
    """Write an instance of a class of which `has_beginning` is true."""
    encoder.enter(value)
    encoder.chunks.append(beginning)
    encoder.write(attributes(value) or None)
    encoder.chunks.append(_NOTHING_MORE)
    encoder.leave(value)


def _beginning(encoder: Encoder, cls: type) -> bytes:
    graph, name = closure(cls), reference_name(cls)[0]
    known = _known.get(cls)
    if known is None or known[:2] != (name, graph.checksum):
        inner = Encoder(portable=False)
        inner.write(NEWOBJ)
        inner.write((cls,))
        data = head(6, REDUCED) + head(4, 6) + b"".join(inner.chunks)
        known = _known[cls] = name, graph.checksum, data, inner.modules
    encoder.modules |= known[3]
    return known[2]
