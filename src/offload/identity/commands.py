"""The record of a command: everything that its result is said to depend on.

The record is a plain dict, encoded canonically; the SHA-256 of that encoding is the checksum of the
transformation. The current directory, the home directory and the user are not part of it, so the same
command over the same content is the same transformation wherever it is run.
"""

from __future__ import annotations

from offload.identity.checksums import checksum
from offload.identity.values.documents import encode_plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

RECORD_VERSION = 1

STDIN_OPEN = "open"
"""Stands for a standard input that is an open pipe on which nothing has arrived."""

ENVIRONMENT = {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
"""What every command finds in its environment; part of the identity, so a change here is a new identity."""


class CommandInput:
    """One input of a command, as the command sees it.

    Parameters
    ----------
    path : str
        The normalised path by which the command reaches it, relative to its current directory or absolute.
    kind : str
        ``"file"`` or ``"directory"``.
    checksum : str
        Of the file's content, or of the directory's manifest.
    executable : bool
        Whether the file may be executed; always False for a directory.
    """

    __slots__ = ("checksum", "executable", "kind", "path")

    def __init__(self, path: str, kind: str, checksum: str, executable: bool) -> None:
        self.path = path
        self.kind = kind
        self.checksum = checksum
        self.executable = executable

    def record(self) -> dict[str, object]:
        """Return the part of the command's record that describes this input."""
        return {"path": self.path, "kind": self.kind, "checksum": self.checksum, "executable": self.executable}


def command_record(
    argv: Sequence[str],
    *,
    executable: str,
    programs: Mapping[str, str] | None = None,
    software: str | None = None,
    inputs: Iterable[CommandInput] = (),
    stdin: str | None = None,
    outputs: Iterable[str] = (),
    variables: Mapping[str, str] | None = None,
    order: str | None = None,
    there: Mapping[str, object] | None = None,
) -> dict[str, object]:
    """Return the record of a command.

    Parameters
    ----------
    argv : sequence of str
        The command and its arguments, as given.
    executable : str
        Checksum of the file that ``argv[0]`` stands for.
    programs : mapping, optional
        The user's own programs that a program text names, and the checksums of their files.
    software : str, optional
        Checksum of what is installed in the environments of these programs.
    inputs : iterable of CommandInput
        Input files and directories, in any order.
    stdin : str, optional
        Checksum of the standard input, `STDIN_OPEN`, or None where there is none.
    outputs : iterable of str
        Normalised paths of the declared outputs, in any order.
    variables : mapping, optional
        Environment variables that were declared to count.
    order : str, optional
        Checksum of the order in which the inputs were modified, where the command goes by that.
    there : mapping, optional
        What is known of the machine whose programs it uses by their names.

    Returns
    -------
    dict
        Plain values only; the order of the keys is fixed.
    """
    variables = variables or {}
    record = {
        "version": RECORD_VERSION,
        "kind": "command",
        "argv": list(argv),
        "executable": executable,
        "programs": {name: programs[name] for name in sorted(programs or {})} if programs else {},
        "software": software,
        "inputs": [item.record() for item in sorted(inputs, key=_path)],
        "stdin": stdin,
        "outputs": sorted(outputs),
        "variables": {name: variables[name] for name in sorted(variables)},
        "environment": ENVIRONMENT,
    }
    more = {"order": order, "there": there}
    return {**record, **{name: value for name, value in more.items() if value is not None}}


def identify(record: dict[str, object]) -> tuple[str, bytes]:
    """Return the transformation checksum of a record, and the bytes that it is the checksum of."""
    data = _encoded(record)
    return checksum(data), data


def _encoded(record: dict[str, object]) -> bytes:
    """Return the encoding of a record. Many that differ by their words only are encoded but for the words once."""
    if tuple(record) != _NAMES or record["environment"] is not ENVIRONMENT or any(record[name] for name in _EMPTY):
        return encode_plain(record)
    key = record["executable"], record["software"], record["stdin"], record["version"], record["kind"]
    words = encode_plain(record["argv"])
    around = _around.get(key)
    if around is None:
        data = encode_plain(record)
        before, _, after = data.partition(encode_plain("argv") + words)
        if len(_around) >= _MOST:
            _around.clear()
        _around[key] = before + encode_plain("argv"), after
        return data
    return b"".join((around[0], words, around[1]))


def _path(item: CommandInput) -> str:
    return item.path


_EMPTY = ("programs", "inputs", "outputs", "variables")
_NAMES = tuple(command_record([""], executable=""))
_MOST = 100
_around: dict[tuple[object, ...], tuple[bytes, bytes]] = {}
