"""Values that contain themselves, where they are only told apart: arguments, and globals that code reaches.

An object that is met again is named by its number. So sharing counts in these, unlike in all other values: two that
differ in nothing else are told apart, which costs a run and no more.
"""

from __future__ import annotations

from offload.errors import CycleError
from offload.identity.values.cbor import MET, head
from offload.identity.values.encode import Encoder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from offload.identity.values.globals import Pieces

# They have no parts, or hold themselves only through others, which have numbers.
_UNNUMBERED = {type(None), bool, int, float, complex, str, bytes, tuple, frozenset, type, type(Ellipsis)}
_CONTAINERS = {list, dict, tuple, set, frozenset}


class CyclicEncoder(Encoder):
    """Writes values that may contain themselves; what it writes cannot be decoded.

    Parameters
    ----------
    refer : callable, optional
        As for :class:`Encoder`.
    plain : bool
        Whether lists, dicts and sets may contain themselves, with no object of a class in between.
    within : CyclicEncoder, optional
        What has been written so far by another one, which shall not know of this one.
    pieces : Pieces, optional
        Takes note of what is written. Each object is written out: the numbers in it depend on what was met before.

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

    names_pieces = False
    __slots__ = ("_count", "_met", "_plain", "_stack", "_within")

    def __init__(
        self,
        refer: Callable[[object], object] | None = None,
        plain: bool = True,
        within: CyclicEncoder | None = None,
        pieces: Pieces | None = None,
    ) -> None:
        super().__init__(portable=False, refer=refer, pieces=pieces)
        self._met: dict[int, tuple[int, object]] = {}
        self._stack: list[object] = [] if within is None else [*within._stack]  # what is being written
        self._count: int = 0 if within is None else within._count
        self._plain = plain
        self._within = within

    def write(self, value: object) -> None:
        """Append the encoding of `value`, or its number where it was met before."""
        if type(value) not in _UNNUMBERED:
            number = self._number(value)
            if number is not None:
                if not self._plain:
                    self._refuse_plain(value)
                self.chunks.append(head(6, MET) + head(0, number))
                return
            self._met[id(value)] = self._count, value  # kept, so that its id stays its own
            self._count += 1
        super().write(value)

    def enter(self, value: object) -> None:
        """Note that `value` is being written."""
        super().enter(value)
        self._stack.append(value)

    def leave(self, value: object) -> None:
        """Note that `value` has been written."""
        super().leave(value)
        self._stack.pop()

    def trial(self) -> Encoder:
        """Return an encoder that writes as this one would, and leaves no trace here."""
        from offload.identity.values.set_order import sorting_name

        return CyclicEncoder(sorting_name, self._plain, self)

    def orders(self) -> bool:
        """Tell whether the order matters in which the items of a set are written: they get numbers."""
        return True

    def _number(self, value: object) -> int | None:
        encoder: CyclicEncoder | None = self
        while encoder is not None:
            met = encoder._met.get(id(value))
            if met is not None:
                return met[0]
            encoder = encoder._within
        return None

    def _refuse_plain(self, value: object) -> None:
        """Raise an error where `value` is within itself by containers alone."""
        for index, one in enumerate(self._stack):
            if one is value and all(type(other) in _CONTAINERS for other in self._stack[index:]):
                raise CycleError.of(value)
