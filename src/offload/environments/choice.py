"""What a user may choose as the software of a deployment on another machine."""

from __future__ import annotations

from offload.errors import UsageError

_CHOICES = "sync, check, conda:NAME, python:/path/of/python or container:IMAGE"

ENGINES = {"container": ("podman", "docker"), "podman": ("podman",), "docker": ("docker",)}
"""Kinds of choices that name an image, and the programs that may have it, in this order."""


def parse_choice(choice: str) -> tuple[str, str, str]:
    """Return the kind of a choice of software, the path of a Python, and the name of a conda environment or an image.

    Raises
    ------
    UsageError
        If it is none.

    Examples
    --------
    >>> parse_choice("conda:py311"), parse_choice("~/venv/bin/python"), parse_choice("sync:/opt/bin/python3")
    (('conda', '', 'py311'), ('python', '~/venv/bin/python', ''), ('sync', '/opt/bin/python3', ''))
    """
    kind, _, value = choice.partition(":")
    if choice in ("sync", "check"):
        return choice, "", ""
    if choice.startswith(("/", "~/")):
        return "python", choice, ""
    if kind in ("conda", *ENGINES) and value:
        return kind, "", value
    if kind in ("sync", "check", "python") and value:
        if not value.startswith(("/", "~/")):
            raise UsageError(
                f"{choice!r}: {value} is no absolute path", f"{kind}:/path/of/python, or {kind}:~/below/home"
            )
        return kind, value, ""
    raise UsageError(f"{choice!r} is no choice of software", _CHOICES)


def is_image(choice: str) -> bool:
    """Tell whether a choice of software is that of an image."""
    kind, colon, image = choice.partition(":")
    return kind in ENGINES and bool(colon and image)
