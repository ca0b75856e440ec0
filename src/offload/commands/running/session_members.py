"""Which processes belong to a command: those of the session that it leads.

Most are in its process group, too. What a shell runs as a job, and what ``timeout`` starts, has a group of its own.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal


def members(session: int) -> dict[int, int] | None:
    """Return the processes of a session that are no zombies, each with its group; None where that cannot be told."""
    try:
        names = os.listdir("/proc")
        with open("/proc/loadavg", "rb") as stream:
            newest = int(stream.read().split()[-1])
    except (OSError, ValueError):
        return None
    found = {}
    for name in names:
        if not name.isdigit():
            continue
        number = int(name)
        # They were all started after the first one, and numbers are given in turn.
        if not (session <= number <= newest or (newest < session and (number >= session or number <= newest))):
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as stream:
                fields = stream.read().rpartition(b")")[2].split()
        except OSError:
            continue
        if session in (int(fields[2]), int(fields[3])) and fields[0] not in (b"Z", b"X"):
            found[number] = int(fields[2])
    return found


def is_alive(session: int) -> bool:
    """Return whether a session has a process that is not a zombie."""
    try:
        os.killpg(session, 0)
    except ProcessLookupError:
        return bool(members(session))
    except PermissionError:
        return True
    found = members(session)
    return found is None or bool(found)


def send(session: int, number: signal.Signals) -> bool:
    """Send a signal to all processes of a session; return whether there are any."""
    try:
        os.killpg(session, number)
        reached = True
    except ProcessLookupError:
        reached = False
    for process, group in (members(session) or {}).items():
        if group != session:
            try:
                os.kill(process, number)
                reached = True
            except ProcessLookupError:
                continue
    return reached
