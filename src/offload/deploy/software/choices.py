"""What a user may choose as the software of a deployment on another machine."""

from __future__ import annotations

from offload.errors import UsageError


def parse_choice(choice: str) -> tuple[str, str, str]:
    """Return the kind of a choice of software, the path of a Python and the name of a conda environment.

    Raises
    ------
    UsageError
        If it is none.

    Examples
    --------
    >>> parse_choice("conda:py311"), parse_choice("~/venv/bin/python")
    (('conda', '', 'py311'), ('python', '~/venv/bin/python', ''))
    """
    kind, colon, value = choice.partition(":")
    if choice in ("sync", "check"):
        return choice, "", ""
    if choice.startswith(("/", "~/")):
        return "python", choice, ""
    if kind in ("conda", "python") and value:
        if kind == "python" and not value.startswith(("/", "~/")):
            raise UsageError(
                f"{choice!r}: {value} is no absolute path", "python:/path/of/python, or python:~/below/home"
            )
        return (kind, value, "") if kind == "python" else (kind, "", value)
    if kind == "container" and colon:
        raise UsageError(
            f"{choice!r}: software from a container is not there yet",
            "sync, check, conda:NAME or python:/path/of/python",
        )
    raise UsageError(f"{choice!r} is no choice of software", "sync, check, conda:NAME or python:/path/of/python")
