"""Whether a path is one's own: what decides where data lie or what runs is not taken from other users.

A recalled result is unpickled and a configuration file names directories and shell lines, so whoever can write one of
them can run code as its reader. A path is trusted when it, and every directory and link on the way to it, belongs to
this user or to root and cannot be written by anybody else, as for the files of ``ssh``. A directory such as ``/tmp``,
where each user can remove only what is theirs (the sticky bit), is a good way to something of one's own.
"""

from __future__ import annotations

import os
import stat

from offload.errors import NotTrustedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLE = "OFFLOAD_SAFE"
"""Names paths that are trusted whoever can write them, with what lies below them; ``*`` is every path."""

_LINKS = 40


def check(path: str, known: str = "/") -> None:
    """Make sure that nobody but this user and root can change what is found at a path, which need not exist.

    Parameters
    ----------
    path : str
        An absolute path, or one from the current directory.
    known : str
        An absolute path that has been checked: what lies below it need not be checked from the root on.

    Raises
    ------
    NotTrustedError
        If another user can; the message names the path and who.
    """
    for here, status in _way(path, known):
        why = _objection("it" if here == path else here, status)
        if why is not None and not _is_safe(path):
            raise NotTrustedError(
                f"{path} is not used: {why}",
                f"make it yours alone (chown, chmod go-w), or trust all who can write it: export {VARIABLE}={path}",
            )


def _way(path: str, known: str) -> Iterator[tuple[str, os.stat_result]]:
    """Give each directory and link on the way to a path, and what is there, as far as it exists."""
    path, here, links = os.path.abspath(path), "/", 0
    if path.startswith(known.rstrip("/") + "/"):
        path, here = path[len(known) :], known
    else:
        yield here, os.lstat(here)
    parts = [part for part in path.split("/") if part][::-1]
    while parts:
        part = parts.pop()
        if part == "..":
            here = os.path.dirname(os.path.realpath(here))
            continue
        there = os.path.join(here, part)
        try:
            status = os.lstat(there)
            yield there, status
            if not stat.S_ISLNK(status.st_mode):
                here = there
                continue
            target = os.readlink(there)
        except OSError:  # it is not there, or cannot be reached: whoever opens it says so
            return
        links += 1
        if links > _LINKS:
            return
        here = "/" if target.startswith("/") else here
        parts += [part for part in target.split("/") if part not in ("", ".")][::-1]


def _objection(path: str, status: os.stat_result) -> str | None:
    """Return why what is at a path is not this user's alone, or None."""
    mode, owner = status.st_mode, status.st_uid
    if owner and owner != os.geteuid() and not _stands_for_root(status):
        return f"{path} belongs to another user, {_user(owner)}"
    if stat.S_ISLNK(mode) or not mode & 0o022:
        return None
    if stat.S_ISDIR(mode) and mode & stat.S_ISVTX:
        return None
    if mode & 0o002:
        return f"every user can write {path}"
    return None if _is_own_group(status.st_gid, owner) else f"the group {_group(status.st_gid)} can write {path}"


def _stands_for_root(status: os.stat_result) -> bool:
    """Tell whether an owner is one that ``sudo`` stands in for, or a root that this user namespace does not know."""
    if os.geteuid() == 0 and os.environ.get("SUDO_UID") == str(status.st_uid):
        return True
    if not stat.S_ISDIR(status.st_mode):
        return False
    try:
        with open("/proc/self/uid_map", encoding="ascii") as file:
            whole = file.read().split() == ["0", "0", "4294967295"]
        with open("/proc/sys/kernel/overflowuid", encoding="ascii") as file:
            return not whole and status.st_uid == int(file.read())
    except (OSError, ValueError):
        return False


def _is_own_group(group: int, owner: int) -> bool:
    """Tell whether a group is the private one of a user: many systems give each user one, and a umask of 002."""
    import grp
    import pwd

    try:
        known, user = grp.getgrgid(group), pwd.getpwuid(owner or os.geteuid())
    except KeyError:
        return False
    return user.pw_gid == group and known.gr_name == user.pw_name and set(known.gr_mem) <= {user.pw_name}


def _user(number: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _group(number: int) -> str:
    import grp

    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def _is_safe(path: str) -> bool:
    """Tell whether the user has said that a path is to be trusted."""
    named = [name for name in os.environ.get(VARIABLE, "").split(os.pathsep) if name]
    if any(_covers(name, path) for name in named):
        return True
    config = config_file()
    # Its own trust cannot come from itself.
    if path == config or any(_objection(*step) for step in _way(config, "/")):
        return False
    try:
        with open(config, "rb") as file:
            import tomllib

            listed = tomllib.load(file).get("safe", [])
    except (OSError, ValueError):
        return False
    return isinstance(listed, list) and any(isinstance(name, str) and _covers(name, path) for name in listed)


def _covers(name: str, path: str) -> bool:
    if name == "*":
        return True
    name, path = os.path.abspath(os.path.expanduser(name)), os.path.abspath(path)
    return path == name or path.startswith(name.rstrip("/") + "/")


def config_file() -> str:
    """Return the path of the user's configuration file, whether it exists or not."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    return os.path.join(base if os.path.isabs(base) else os.path.expanduser("~/.config"), "offload", "config.toml")
