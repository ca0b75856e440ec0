"""What a check has found."""

from __future__ import annotations

import dataclasses

PASS, WARNING, FAIL = "pass", "warning", "fail"


@dataclasses.dataclass(frozen=True)
class Result:
    """What a check has found.

    Attributes
    ----------
    check : str
        What was looked at, in a word or two.
    outcome : str
        ``"pass"``; ``"warning"``: it works, but not as well as it could; ``"fail"``: it will not work.
    found : str
        What is there.
    hint : str
        What to type or to change, where it does not pass.
    where : str
        The machine: ``"here"`` or as in ``ssh://user@host``.
    """

    check: str
    outcome: str
    found: str
    hint: str = ""
    where: str = "here"


def passed(check: str, found: str) -> Result:
    """Return that all is well."""
    return Result(check, PASS, found)


def warned(check: str, found: str, hint: str) -> Result:
    """Return that it works, but not as well as it could."""
    return Result(check, WARNING, found, hint)


def failed(check: str, found: str, hint: str | None) -> Result:
    """Return that it will not work."""
    return Result(check, FAIL, found, hint or "")
