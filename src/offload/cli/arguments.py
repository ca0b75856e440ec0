"""Options and arguments that several commands have, and how checksums are looked up and completed."""

from __future__ import annotations

import os

import click
from click.shell_completion import CompletionItem

from offload.errors import NotFoundError, OffloadError
from offload.util.units import checksum_digits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.registry.session import Session
    from offload.storage.records import Transformation

json_option = click.option("--json", "as_json", is_flag=True, help="Report as one JSON document.")

_COMPLETED = 200


def find_transformation(session: Session, text: str) -> Transformation:
    """Return the transformation that a user names by its checksum or the first digits of it.

    Raises
    ------
    NotFoundError
        If there is none.
    UsageError
        If it is no checksum, or the digits fit several.
    """
    digits = checksum_digits(text)
    found = session.database.transformation(digits)
    if found is None:
        made_by = session.database.producers([digits])[0]
        hint = "offload history lists the recorded ones"
        if made_by:
            hint = f"it is what {made_by[0][:12]} gave: offload history {made_by[0][:12]}"
        raise NotFoundError(f"there is no transformation {text}", hint)
    return found


def complete_transformation(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the recent transformations that start with what was typed."""
    from offload.registry.session import current
    from offload.storage.home import home_path

    try:
        if not os.path.exists(home_path()):
            return []
        runs = current().database.runs(limit=_COMPLETED)
    except OffloadError:
        # Nothing can be shown while a line is being typed; the command itself will say what is wrong.
        return []
    labels = {run.transformation[:12]: run.label for run in reversed(runs)}
    return [
        CompletionItem(digits, help=" ".join(label.split())[:60])
        for digits, label in reversed(labels.items())
        if digits.startswith(incomplete.lower())
    ]
