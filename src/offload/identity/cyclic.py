"""Values that contain themselves, where they are only told apart: globals that code reaches.

An object that is met again is named by its number. So sharing counts in these, unlike in all other values: two that
differ in nothing else are told apart, which costs a run and no more.
"""

from __future__ import annotations

from offload.identity.encoding import MET, Encoder, head

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# They have no parts, or hold themselves only through others, which have numbers.
_UNNUMBERED = {type(None), bool, int, float, complex, str, bytes, tuple, frozenset, type, type(Ellipsis)}


class CyclicEncoder(Encoder):
    """Writes values that may contain themselves; what it writes cannot be decoded.

    Examples
    --------
    >>> def written(value):
    ...     encoder = CyclicEncoder(lambda found: None)
    ...     encoder.write(value)
    ...     return b"".join(encoder.chunks)
    >>> loop, other = [1], [2]
    >>> loop.append(loop)
    >>> other.append(other)
    >>> written(loop) == written(other)
    False
    """

    __slots__ = ("_met",)

    def __init__(self, refer: Callable[[object], object]) -> None:
        super().__init__(portable=False, refer=refer)
        self._met: dict[int, tuple[int, object]] = {}

    def write(self, value: object) -> None:
        """Append the encoding of `value`, or its number where it was met before."""
        if type(value) not in _UNNUMBERED:
            met = self._met.get(id(value))
            if met is not None:
                self.chunks.append(head(6, MET) + head(0, met[0]))
                return
            self._met[id(value)] = len(self._met), value  # kept, so that its id stays its own
        super().write(value)
