"""What a plan needs, brought to where it runs: from the file that it was identified by, or else from the store."""

from __future__ import annotations

import os
from collections.abc import Callable

from offload.commands.planning.plan import Plan
from offload.commands.planning.stdin import Stdin
from offload.commands.running.scratch import Scratch
from offload.commands.running.spool import adopt
from offload.errors import BufferMissingError, OffloadError
from offload.storage.copies import MOMENT, copy_verified
from offload.storage.store import Store

Copy = Callable[[str, str, str, bool], None]


def place_at(plan: Plan, directory: str) -> None:
    """Have the relative paths of a plan lead to inputs from the directory where it was made."""
    for item in plan.inputs:
        item.source = os.path.normpath(os.path.join(directory, item.source))
        if item.tree is not None:
            item.tree.root = item.source
    if plan.stdin.source is not None:
        plan.stdin.source = os.path.join(directory, plan.stdin.source)


def copy_from(store: Store) -> Copy:
    """Return what copies a file like `copy_verified`, and takes its content from a store where the file has none."""

    def copy(source: str, target: str, checksum: str, executable: bool) -> None:
        try:
            copy_verified(source, target, checksum, executable)
            return
        except (OSError, OffloadError) as exc:
            if os.path.exists(target):
                os.unlink(target)
            try:
                store.extract(checksum, target, 0o755 if executable else 0o644)
            except BufferMissingError:
                reason = exc.strerror if isinstance(exc, OSError) else "it has changed since"
                raise OffloadError(
                    f"the input {source} cannot be read on {os.uname().nodename} as it was when the command was given:"
                    f" {reason}; and its content is not stored",
                    "give the command again",
                ) from exc
        os.utime(target, ns=(MOMENT, MOMENT))

    return copy


def stdin_at(stdin: Stdin, scratch: Scratch, copy: Copy) -> Stdin:
    """Return the standard input of a command as this process can open it."""
    if stdin.identity is None:
        return Stdin()
    path = scratch.file("stdin.given")
    copy(stdin.source or "(stdin)", path, stdin.identity, False)
    return Stdin(stdin.identity, spool=adopt(path), size=stdin.size)
