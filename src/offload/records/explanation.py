"""What ``why`` answers: whether a result is on record, and if not, what differs from the nearest earlier run."""

from __future__ import annotations

from offload.records.usage import used_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOST_LINES = 200
"""Lines of a diff that the text shows."""


class Difference:
    """One part of a computation that is not what it was in the earlier run.

    Attributes
    ----------
    part : str
        What differs: ``"argument x"``, ``"code of helpers:scale"``, ``"numpy"``.
    before, after : str or None
        Short texts for people; None where the part was not, or is no longer, there.
    detail : str or None
        A diff of the source, where there is one.
    """

    __slots__ = ("after", "before", "detail", "part")

    def __init__(self, part: str, before: str | None, after: str | None, detail: str | None = None) -> None:
        self.part = part
        self.before = before
        self.after = after
        self.detail = detail

    def as_dict(self) -> dict[str, object]:
        """Return plain values, for JSON."""
        return {"part": self.part, "before": self.before, "after": self.after, "detail": self.detail}

    def lines(self) -> list[str]:
        """Return the text for a terminal."""
        if self.before is None:
            text = [f"{self.part}: new" + (f", {self.after}" if self.after else "")]
        elif self.after is None:
            text = [f"{self.part}: no longer there" + (f", was {self.before}" if self.before else "")]
        else:
            text = [f"{self.part}: {self.before} -> {self.after}"]
        detail = (self.detail or "").splitlines()
        text += [f"    {line}" for line in detail[:MOST_LINES]]
        more = len(detail) - MOST_LINES
        return text + ([f"    ... and {more:,} more lines (as_dict() and --json have all)"] if more > 0 else [])


class Explanation:
    """The answer to ``why``.

    Attributes
    ----------
    hit : bool
        Whether a recorded result would be recalled.
    label, transformation : str
        What was asked about.
    consists_of : list of str
        What the identity is made of, a line each.
    nearest : str or None
        The transformation of the earlier run that differs least; None where there is none.
    differences : list of Difference
        From that run.
    reason : str
        Why it is a hit or a miss.
    used : dict
        What its last run used: ``seconds``, ``cpu_seconds`` and ``peak_memory_bytes``, each None where that is not
        known; empty where there was none.
    """

    __slots__ = ("consists_of", "differences", "hit", "label", "nearest", "reason", "transformation", "used")

    def __init__(
        self,
        hit: bool,
        label: str,
        transformation: str,
        consists_of: Sequence[str] = (),
        nearest: str | None = None,
        differences: Sequence[Difference] = (),
        reason: str = "",
        used: Mapping[str, float | int | None] | None = None,
    ) -> None:
        self.hit = hit
        self.label = label
        self.transformation = transformation
        self.consists_of = list(consists_of)
        self.nearest = nearest
        self.differences = list(differences)
        self.reason = reason
        self.used = dict(used or {})

    def text(self) -> str:
        """Return the answer for a terminal."""
        lines = [f"{'hit' if self.hit else 'miss'}: {self.label} ({self.transformation[:16]})"]
        lines += [self.reason] if self.reason else []
        lines += [text] if (text := used_text(self.used)) else []
        lines += [f"  {line}" for line in self.consists_of]
        if self.nearest is not None:
            lines.append(f"the nearest other run is {self.nearest[:16]}; different here:")
            lines += [f"  {line}" for difference in self.differences for line in difference.lines()]
        return "\n".join(lines)

    __str__ = __repr__ = text

    def as_dict(self) -> dict[str, object]:
        """Return plain values, for JSON."""
        return {
            "hit": self.hit,
            "label": self.label,
            "transformation": self.transformation,
            "consists_of": self.consists_of,
            "nearest": self.nearest,
            "differences": [d.as_dict() for d in self.differences],
            "reason": self.reason,
            "used": self.used,
        }
