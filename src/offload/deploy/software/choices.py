"""What a user may choose as the software of a deployment on another machine."""

from __future__ import annotations

from offload.errors import UsageError

_CHOICES = "sync, check, conda:NAME or python:/path/of/python"


def parse_choice(choice: str) -> tuple[str, str, str]:
    """Return the kind of a choice of software, the path of a Python and the name of a conda environment.

    Raises
    ------
    UsageError
        If it is none.

    Examples
    --------
    >>> parse_choice("conda:py311"), parse_choice("~/venv/bin/python"), parse_choice("sync:/opt/bin/python3")
    (('conda', '', 'py311'), ('python', '~/venv/bin/python', ''), ('sync', '/opt/bin/python3', ''))
    """
    kind, colon, value = choice.partition(":")
    if choice in ("sync", "check"):
        return choice, "", ""
    if choice.startswith(("/", "~/")):
        return "python", choice, ""
    if kind == "conda" and value:
        return kind, "", value
    if kind in ("sync", "check", "python") and value:
        if not value.startswith(("/", "~/")):
            raise UsageError(
                f"{choice!r}: {value} is no absolute path", f"{kind}:/path/of/python, or {kind}:~/below/home"
            )
        return kind, value, ""
    if kind == "container" and colon:
        raise UsageError(f"{choice!r}: software from a container is not there yet", _CHOICES)
    raise UsageError(f"{choice!r} is no choice of software", _CHOICES)
