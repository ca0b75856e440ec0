"""What a command really reads: run once under ``strace``, and compared with what it is said to depend on."""

from __future__ import annotations

import copy
import os
import re

from offload.commands.hints import TAIL, missing_inputs
from offload.commands.planning.detect import is_system
from offload.commands.request import quoted
from offload.commands.running.execution import execute, prepare
from offload.errors import OffloadError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from offload.commands.planning.plan import Plan
    from offload.commands.running.execution import Execution
    from offload.commands.running.scratch import Scratch
    from offload.commands.running.sinks import Sink

_LONGEST = 5000  # characters of a path
_CALL = re.compile(r"^(\d+) +(\w+)\((.*)$")
_UNFINISHED = re.compile(r"^(\d+) +(.*) <unfinished \.\.\.>$")
_RESUMED = re.compile(r"^(\d+) +<\.\.\. \w+ resumed>(.*)$")
_PATH = re.compile(r'(?:(?:AT_FDCWD|\d+)<((?:[^>\\]|\\.)*)>, )?"((?:[^"\\]|\\.)*)"')
_RETURNED = re.compile(r"\) += (-?\d+)(?:<[^>]*>)?(?: (\w+))?")
_PORT = re.compile(r"sin6?_port=htons\((\d+)\)")
_ADDRESS = re.compile(r'inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)"')
_OPENING = ("open", "openat", "openat2")
_WRITING = ("O_WRONLY", "O_RDWR", "O_CREAT")
# What every program may look at, and what is none of its inputs.
_NOISE = ("/var/run/", "/var/cache/", "/var/lib/", "/tmp/.X11-unix/")


class Traced:
    """What a traced command did beyond what counts.

    Attributes
    ----------
    missing : list of str
        Relative paths that it looked for in vain, and that exist here.
    read : list of str
        Absolute paths outside the system's that it read, and that are no inputs.
    written : list of str
        Absolute paths that it wrote.
    programs : list of str
        Programs outside the system's that it started, and that do not count.
    connections : list of str
        Where it connected to: ``ADDRESS:PORT``, or the path of a socket.
    """

    __slots__ = ("connections", "missing", "programs", "read", "written")

    def __init__(self) -> None:
        self.missing: list[str] = []
        self.read: list[str] = []
        self.written: list[str] = []
        self.programs: list[str] = []
        self.connections: list[str] = []

    def flags(self) -> list[str]:
        """Return the options of ``offload run`` that declare what is missing, as they are to be typed in a shell."""
        return [f"--input {quoted(path)}" for path in (*self.missing, *self.read)]

    def as_dict(self) -> dict[str, object]:
        """Return plain values, for JSON."""
        return {**{name: getattr(self, name) for name in self.__slots__}, "flags": self.flags()}


class Access:
    """One thing that a process did, or tried: a system call with a path or an address."""

    __slots__ = ("call", "error", "text", "writes")

    def __init__(self, call: str, text: str, error: str, writes: bool = False) -> None:
        self.call = call
        self.text = text
        self.error = error
        self.writes = writes


def find_strace() -> str:
    """Return the path of ``strace``.

    Raises
    ------
    UsageError
        If it is not installed.
    """
    import shutil

    path = shutil.which("strace")
    if path is None:
        raise UsageError(
            "--trace needs strace, which is not installed here (or not on PATH)",
            "apt-get install strace, dnf install strace, or ask the administrator; on Linux only",
        )
    return path


def trace(
    plan: Plan, scratch: Scratch, sinks: tuple[Sink | None, Sink | None], say: Callable[[str], None]
) -> tuple[Execution, Traced]:
    """Run a planned command under ``strace``; nothing is recorded, and no output brought back.

    Raises
    ------
    UsageError, OffloadError
        If strace is not there, or may not trace.
    """
    strace = find_strace()
    log = scratch.file("trace")
    traced = copy.copy(plan)
    traced.request = copy.copy(plan.request)
    traced.executable = strace
    options = ["-f", "-qq", "-y", "-s", str(_LONGEST), "-e", "trace=%file,connect", "-e", "signal=none", "-o", log]
    traced.request.argv = [strace, *options, "--", *plan.request.argv]
    prepare(plan, scratch)
    execution = execute(traced, scratch, sinks, say)
    if not os.path.exists(log) or not os.path.getsize(log):
        tail = execution.stderr.tail(500).decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise OffloadError(
            f"strace could trace nothing: {tail or 'it gave no reason'}",
            "in a container, tracing needs the capability SYS_PTRACE; else see /proc/sys/kernel/yama/ptrace_scope",
        )
    with open(log, encoding="utf-8", errors="surrogateescape") as stream:
        found = judge(accesses(stream), plan, scratch.work, os.path.realpath(scratch.path), os.getcwd())
    if execution.exit_code:  # it says itself what it did not find: a module, whose directory was only listed
        named = missing_inputs(execution.stderr.tail(TAIL), {item.path for item in plan.inputs})
        found.missing += [path for path in named if path not in found.missing]
    return execution, found


def accesses(lines: Iterable[str]) -> Iterator[Access]:
    """Yield what a log of strace tells; paths are absolute where the log tells from where they are."""
    begun: dict[str, str] = {}
    for line in lines:
        text = line.rstrip("\n")
        if found := _UNFINISHED.match(text):
            begun[found[1]] = found[2]
            continue
        if found := _RESUMED.match(text):
            text = f"{found[1]} {begun.pop(found[1], '')}{found[2]}"
        call = _CALL.match(text)
        answers = list(_RETURNED.finditer(text))
        if call is None or not answers:
            continue
        returned = answers[-1]  # paths may hold anything
        error = returned[2] or "" if returned[1].startswith("-") else ""
        if call[2] == "connect":
            address = _address(call[3])
            if address:
                yield Access("connect", address, error)
        elif path := _PATH.search(call[3]):
            place = os.path.join(_text(path[1] or ""), _text(path[2]))
            yield Access(call[2], place, error, any(mode in call[3][path.end() :] for mode in _WRITING))


def _address(arguments: str) -> str:
    if "AF_UNIX" in arguments:
        path = re.search(r'sun_path="((?:[^"\\]|\\.)*)"', arguments)
        return _text(path[1]) if path else ""
    port, address = _PORT.search(arguments), _ADDRESS.search(arguments)
    if port is None or address is None or port[1] == "0":  # to port 0: only to find out a route
        return ""
    return f"{address[1] or '[' + address[2] + ']'}:{port[1]}"


def _text(escaped: str) -> str:
    """Undo the escapes of C."""
    if "\\" not in escaped:
        return escaped
    import codecs

    data, _ = codecs.escape_decode(escaped.encode("utf-8", "surrogateescape"))
    return os.fsdecode(data)


def judge(found: Iterable[Access], plan: Plan, work: str, scratch: str, here: str) -> Traced:
    """Return what of all that does not count, but should.

    Parameters
    ----------
    found : iterable of Access
        What the command did.
    plan : Plan
        What it is said to depend on.
    work : str
        Its current directory.
    scratch : str
        The whole scratch directory.
    here : str
        The user's current directory.
    """
    told = Traced()
    seen: dict[tuple[str, str], None] = {}
    known = {item.path for item in plan.inputs}
    counted = {os.path.realpath(path) for path in (plan.executable, *plan.programs.values())}
    prefixes = _prefixes([*counted, plan.executable, *plan.programs.values()])
    if plan.environment is not None:
        prefixes.append(plan.environment.prefix + "/")
    work = os.path.realpath(work)
    started: list[str] = []
    for access in found:
        if access.call == "connect":
            if not access.text.startswith(_NOISE):
                seen["connections", access.text] = None
            continue
        path = os.path.normpath(os.path.join(work, access.text))
        if path.startswith(scratch + "/"):
            name = os.path.relpath(path, work)
            if access.error == "ENOENT" and _is_missing(name, known, plan, here):
                seen["missing", name] = None
        elif access.error or is_system(path) or path.startswith(_NOISE):
            continue
        elif access.call == "execve":
            if os.path.realpath(path) not in counted and not path.startswith(tuple(prefixes)):
                seen["programs", path] = None
                started.append(path)
        elif access.call in _OPENING:
            _note(access, path, known, seen)
    prefixes += _prefixes(started)
    for kind, path in seen:
        if not (kind == "read" and path.startswith(tuple(prefixes))):
            getattr(told, kind).append(path)
    for name in told.__slots__:
        getattr(told, name).sort()
    return told


def _is_missing(name: str, known: set[str], plan: Plan, here: str) -> bool:
    if name in (".", "") or name in known or any(name.startswith(path + "/") for path in known):
        return False
    outputs = plan.request.output_paths
    if any(name == path or name.startswith(path + "/") for path in outputs) or "__pycache__" in name:
        return False
    return os.path.exists(os.path.join(here, name))


def _note(access: Access, path: str, known: set[str], seen: dict[tuple[str, str], None]) -> None:
    if access.writes:
        seen["written", path] = None
    elif os.path.isfile(path) and not any(path == item or path.startswith(item + "/") for item in known):
        seen["read", path] = None


def _prefixes(programs: Iterable[str]) -> list[str]:
    """Return where the libraries of programs lie: beside the ``bin`` that they are in."""
    places = {os.path.dirname(os.path.abspath(program)) for program in programs if "/" in program}
    return [os.path.dirname(place) + "/" for place in places if os.path.basename(place) in ("bin", "sbin", "libexec")]
