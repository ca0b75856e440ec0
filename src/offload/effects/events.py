"""What audit events mean: which files were read and written, what was connected to and started."""

from __future__ import annotations

import os

from offload.effects import attribution
from offload.effects.paths import is_no_input, is_scratch
from offload.identity.origins import original
from offload.util.bytecode import source_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from offload.effects.watched import Watched

_NO_DATA = getattr(os, "O_PATH", 0) | getattr(os, "O_DIRECTORY", 0)
_LOCAL_NAMES = ("", "localhost", "localhost.localdomain", "ip6-localhost")


def _absolute(path: Any, folder: int = -1) -> str | None:
    """Return the absolute path that an event names, perhaps within an open directory; None for what is no path.

    Of a file that came from another machine, it is the path there: by that it may be declared, and is told.
    """
    try:
        if isinstance(path, int):
            path = os.readlink(f"/proc/self/fd/{path}")
        text = os.fsdecode(path)
        if folder >= 0:
            text = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), text)
    except (OSError, TypeError):
        return None
    return original(text if text.startswith("/") and "/." not in text and "//" not in text else os.path.abspath(text))


def is_declared(watch: Watched, path: str) -> bool:
    """Tell whether a file is an input of a call, or its own."""
    return _may_read(watch, path) or _may_read(watch, os.path.realpath(path))


def _may_read(watch: Watched, path: str) -> bool:
    return path in watch.declared or _is_below(path, watch.folders) or _is_own(watch, path)


def _is_own(watch: Watched, path: str) -> bool:
    return path in watch.made or _is_below(path, watch.made_folders)


def _is_below(path: str, folders: tuple[str, ...]) -> bool:
    return bool(folders) and os.path.join(path, "").startswith(folders)


def _read(watches: list[Watched], path: str, kind: str = "file") -> None:
    """Note a read, unless the file may be read."""
    watches = [watch for watch in watches if not _may_read(watch, path)]
    if not watches or is_no_input(path):
        return
    real = os.path.realpath(path)
    if real != path:
        # A link into a directory of its own is no file of its own.
        watches = [watch for watch in watches if not _may_read(watch, real)]
        if not watches or is_no_input(real):
            return
    if (kind == "file" and os.path.isdir(path)) or not attribution.is_of_call():
        return
    for watch in watches:
        watch.effects.add(kind, path)


def _write(watches: list[Watched], path: str, makes: bool = False) -> None:
    """Note that a file is written; from now on it is the call's own where the call `makes` it."""
    if not attribution.is_of_call():
        return
    if makes:
        for watch in watches:
            watch.made.add(path)
    if not is_scratch(path):
        for watch in watches:
            if path not in watch.declared:
                watch.effects.wrote(path)


def _open(watches: list[Watched], args: Any) -> None:
    path, _, flags = args
    if isinstance(path, int):
        if attribution.spawns():
            _child(watches, "a process of multiprocessing")
        return
    found = None if flags & _NO_DATA else _absolute(path)  # the bits of O_TMPFILE are among them
    if found is None:
        return
    writes, reads = flags & os.O_ACCMODE != os.O_RDONLY, flags & os.O_ACCMODE != os.O_WRONLY
    if not writes:
        if os.path.isabs(path) or not attribution.removes_tree():
            _read(watches, source_of(found))
        return
    if os.path.isdir(path):  # the directory of a temporary file without a name
        return
    makes = bool(flags & (os.O_TRUNC | os.O_EXCL) or (flags & os.O_CREAT and not os.path.lexists(path)))
    if reads and not makes:
        _read(watches, found)
    _write(watches, found, makes)


def _list(watches: list[Watched], args: Any) -> None:
    found = _absolute("." if args[0] is None else args[0])
    if found is not None:
        _read(watches, found, "directory")


def _make_folder(watches: list[Watched], args: Any) -> None:
    found = _absolute(args[0], args[2])
    if found is not None and not os.path.lexists(found):
        for watch in watches:
            watch.made_folders += (os.path.join(found, ""),)
        _write(watches, found)


def _move(watches: list[Watched], args: Any) -> None:
    """Give something another name: what has not been made by the call must not come to look as if it had."""
    old, new = _absolute(args[0], args[2]), _absolute(args[1], args[3])
    if old is None or new is None:
        return
    for watch in watches:
        if not _is_own(watch, old):
            _read([watch], old)
            _write([watch], new)
        elif os.path.isdir(old):
            watch.made_folders += (os.path.join(new, ""),)
            _write([watch], new)
        else:
            _write([watch], new, makes=True)


def _link(watches: list[Watched], args: Any) -> None:
    target = os.path.join(os.path.dirname(os.fsdecode(args[1])), os.fsdecode(args[0]))
    _move(watches, (target, args[1], -1, args[-1]))


def _change(watches: list[Watched], args: Any) -> None:
    found = _absolute(*args)
    if found is not None:
        _write([watch for watch in watches if not _is_own(watch, found)], found)


def _cut(watches: list[Watched], args: Any) -> None:
    _change(watches, args[:1])


def _database(watches: list[Watched], args: Any) -> None:
    name = os.fsdecode(args[0])
    if name.startswith("file:"):
        from urllib.parse import unquote

        name, _, options = unquote(name[5:]).partition("?")
        if "mode=memory" in options:
            return
        name = name.removeprefix("//")
    if name in ("", ":memory:"):
        return
    path = os.path.abspath(name)
    if os.path.lexists(path):
        _read(watches, original(path))
    else:
        _write(watches, path, makes=True)


def _library(watches: list[Watched], args: Any) -> None:
    if isinstance(args[0], (str, bytes)) and "/" in os.fsdecode(args[0]):
        _read(watches, original(os.path.abspath(os.fsdecode(args[0]))))


def _note(watches: list[Watched], kind: str, what: str) -> None:
    if attribution.is_of_call():
        for watch in watches:
            watch.effects.add(kind, what)


def _connect(watches: list[Watched], args: Any) -> None:
    # Without an address it goes where the socket has been connected to.
    if args[1] is not None and (what := _address(args[1])) != "/dev/log":
        _note(watches, "connection", what)


def _listen(watches: list[Watched], args: Any) -> None:
    _note(watches, "listener", _address(args[1]))


def _address(address: Any) -> str:
    if isinstance(address, (tuple, list)) and len(address) >= 2:
        return f"{address[0]}:{address[1]}"
    return os.fsdecode(address) if isinstance(address, (str, bytes)) else str(address)


def _resolve(watches: list[Watched], args: Any) -> None:
    host = args[0]
    name = host.decode(errors="replace") if isinstance(host, bytes) else str(host or "")
    if name not in _LOCAL_NAMES and not _is_number(name):
        _note(watches, "connection", name)


def _is_number(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()


def _child(watches: list[Watched], what: str) -> None:
    if not attribution.asks_only():
        _note(watches, "process", what)


def _popen(watches: list[Watched], args: Any) -> None:
    arguments = args[1]
    words = [arguments] if isinstance(arguments, (str, bytes)) else arguments
    _child(watches, " ".join(os.fsdecode(word) for word in words))


def _first(watches: list[Watched], args: Any) -> None:
    _child(watches, os.fsdecode(args[0]))


def _fork(watches: list[Watched], args: Any) -> None:
    _child(watches, "a copy of this process")


def _ask(watches: list[Watched], args: Any) -> None:
    _note(watches, "input", "")


def _find_class(watches: list[Watched], args: Any) -> None:
    """Note what is unpickled by its name: a class of the project, perhaps, that the code does not reach."""
    if attribution.is_of_call():
        for watch in watches:
            watch.code.add((args[0], args[1]))


def _file_argument(watches: list[Watched], args: Any) -> None:
    """Count a file that a call gives to another one as read by it, also where that is recalled."""
    path = original(os.path.abspath(args[0]))
    for watch in watches:
        if not _may_read(watch, path) and not _may_read(watch, os.path.realpath(path)) and not is_no_input(path):
            watch.effects.add("directory" if os.path.isdir(path) else "file", path)


def _made(watches: list[Watched], args: Any) -> None:
    for watch in watches:
        watch.made.add(os.path.abspath(args[0]))


JUDGES: dict[str, Callable[[list[Watched], Any], None]] = {
    "open": _open,
    "os.listdir": _list,
    "os.scandir": _list,
    "os.mkdir": _make_folder,
    "os.rename": _move,
    "os.link": _move,
    "os.symlink": _link,
    "os.remove": _change,
    "os.rmdir": _change,
    "os.truncate": _cut,
    "sqlite3.connect": _database,
    "ctypes.dlopen": _library,
    "socket.connect": _connect,
    "socket.bind": _listen,
    "socket.sendto": _connect,
    "socket.sendmsg": _connect,
    "socket.getaddrinfo": _resolve,
    "socket.gethostbyname": _resolve,
    "socket.gethostbyaddr": _resolve,
    "subprocess.Popen": _popen,
    "os.system": _first,
    "os.exec": _first,
    "os.posix_spawn": _first,
    "os.fork": _fork,
    "os.forkpty": _fork,
    "builtins.input": _ask,
    "pickle.find_class": _find_class,
    "offload.file": _file_argument,
    "offload.made": _made,
}
