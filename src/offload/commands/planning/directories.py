"""What is in the directories that a command reads, as far as the history keeps it: for ``why`` and lineage."""

from __future__ import annotations

from offload.identity.values.decode import decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from offload.identity.directories import TreeEntry
    from offload.registry.session import Session

    Difference = dict[str, object]

MOST_LISTED = 100
"""Files of a directory that are kept one by one."""


def listed(entries: Sequence[TreeEntry]) -> list[list[str]]:
    """Return the files of a directory by name and checksum; of a large one, none."""
    files = [[entry.name, entry.value] for entry in entries if entry.kind == "file"]
    return files if len(files) <= MOST_LISTED else []


def held(session: Session, transformation: str) -> dict[str, list[list[str]]]:
    """Return the files in the input directories of a recorded command, by name and checksum; of large ones, none."""
    runs = session.database.runs(transformation=transformation, limit=1)
    details = decode(runs[0].details) if runs else {}
    assert isinstance(details, dict)
    return {item["path"]: item["holds"] for item in details.get("inputs", ()) if "holds" in item}


def name_files(
    differences: list[Difference], earlier: dict[str, list[list[str]]], now: dict[str, list[list[str]]]
) -> None:
    """Add to a difference of a directory which files it is about, where that is known.

    Parameters
    ----------
    differences : list of dict
        From :func:`offload.commands.why.compare`.
    earlier, now : dict of str to list of (str, str)
        The files in each directory, as `held` returns them.
    """
    for difference in differences:
        if difference["what"] != "input":
            continue
        before, after = (dict(side.get(str(difference["name"]), ())) for side in (earlier, now))
        if before and after:
            names = [name for name in sorted(before.keys() | after.keys()) if before.get(name) != after.get(name)]
            difference["files"] = [{"name": n, "earlier": before.get(n), "now": after.get(n)} for n in names]


def changed_files(difference: Difference) -> list[str]:
    """Return in words which files of a directory `name_files` found to differ."""
    files = difference.get("files")
    ends = ((one["name"], one["earlier"], one["now"]) for one in files) if isinstance(files, list) else ()
    return [
        f"{name} is new" if old is None else f"{name} is gone" if new is None else f"{name}" for name, old, new in ends
    ]
