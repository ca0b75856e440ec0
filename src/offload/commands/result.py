"""The result of a command: the record of what it gave, and whether all of that is still stored."""

from __future__ import annotations

from offload.errors import BufferMissingError, DecodeError
from offload.identity.values.decode import decode
from offload.identity.values.documents import encode_plain
from offload.storage.output_record import OutputRecord

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from offload.storage.output_record import OutputRecord
    from offload.storage.reader import Reader
    from offload.storage.store import Store

RESULT_VERSION = 1

# Output beyond this is passed on piece by piece, not held.
IN_MEMORY = 1024 * 1024


class CommandRecord:
    """What a command that ended well gave.

    Parameters
    ----------
    stdout, stderr : str
        Checksums.
    outputs : sequence of OutputRecord
        In the order of their paths.

    Attributes
    ----------
    stdout_data, stderr_data : bytes, Reader or None
        What `fetch` and `secure` have brought: the whole, or an open buffer.
    """

    __slots__ = ("outputs", "stderr", "stderr_data", "stdout", "stdout_data")

    def __init__(self, stdout: str, stderr: str, outputs: Sequence[OutputRecord]) -> None:
        self.stdout = stdout
        self.stderr = stderr
        self.outputs = outputs
        self.stdout_data: bytes | Reader | None = None
        self.stderr_data: bytes | Reader | None = None

    def encode(self) -> bytes:
        """Return the buffer whose checksum is the command's result."""
        return encode_plain(
            {
                "version": RESULT_VERSION,
                "kind": "command",
                "exit_code": 0,
                "stdout": self.stdout,
                "stderr": self.stderr,
                "outputs": [
                    {"path": item.path, "kind": item.kind, "checksum": item.checksum, "executable": item.executable}
                    for item in self.outputs
                ],
            }
        )


# The encoding of a record without outputs, around the two checksums in it.
_OUT, _ERR = "o" * 64, "e" * 64
_BEFORE, _, _REST = CommandRecord(_OUT, _ERR, []).encode().partition(_OUT.encode())
_BETWEEN, _, _AFTER = _REST.partition(_ERR.encode())
_FROM_OUT, _TO_OUT = len(_BEFORE), len(_BEFORE) + 64
_FROM_ERR, _TO_ERR = _TO_OUT + len(_BETWEEN), _TO_OUT + len(_BETWEEN) + 64
_SIZE = _TO_ERR + len(_AFTER)
_AROUND = _BEFORE, _BETWEEN, _AFTER


def decode_record(data: bytes) -> CommandRecord:
    """Return the record in a result buffer.

    Raises
    ------
    DecodeError
        When the buffer is no command's result, or one that a newer version wrote.
    """
    if (
        len(data) == _SIZE
        and data.startswith(_BEFORE)
        and data.endswith(_AFTER)
        and data[_TO_OUT:_FROM_ERR] == _BETWEEN
    ):
        # One without outputs, as most are: it is read by its places.
        return CommandRecord(data[_FROM_OUT:_TO_OUT].decode("ascii"), data[_FROM_ERR:_TO_ERR].decode("ascii"), [])
    value = decode(data)
    if not isinstance(value, dict) or value.get("kind") != "command":
        raise DecodeError("the recorded result is not that of a command")
    if value.get("version") != RESULT_VERSION:
        raise DecodeError(f"the recorded result has version {value.get('version')}: it needs a newer offload")
    return CommandRecord(value["stdout"], value["stderr"], [OutputRecord(**item) for item in value["outputs"]])


def load(buffers: Sequence[bytes | None], store: Store) -> list[CommandRecord | None]:
    """Return the records of result buffers; None where there is no buffer, or something it names is not stored.

    The small parts of what was written to stdout and stderr are fetched as well: `fetch` does it for the rest.
    """
    records = [None if data is None else decode_record(data) for data in buffers]
    _load_manifests([record for record in records if record is not None], store)
    wanted = {checksum: None for record in records if record is not None for checksum in _parts(record)}
    names = list(wanted)
    sizes = dict(zip(names, store.sizes(names), strict=True)) if names else {}
    return [
        None if record is None or any(sizes[checksum] is None for checksum in _parts(record)) else record
        for record in records
    ]


def fetch(records: Sequence[CommandRecord], store: Store) -> list[bool]:
    """Fetch what the commands wrote to stdout and stderr, where it is small; return which are still whole."""
    names = list({checksum for record in records for checksum in (record.stdout, record.stderr)})
    sizes = dict(zip(names, store.sizes(names), strict=True))
    small = [name for name in names if (size := sizes[name]) is not None and size <= IN_MEMORY]
    data = dict(zip(small, store.get(small), strict=True))
    for record in records:
        record.stdout_data = data.get(record.stdout)
        record.stderr_data = data.get(record.stderr)
    lost = {name for name in names if sizes[name] is None or data.get(name, b"") is None}
    return [record.stdout not in lost and record.stderr not in lost for record in records]


def secure(record: CommandRecord, store: Store) -> bool:
    """Make sure, before the first byte is passed on, that all of a fetched record's output can be.

    What is too large to be held is opened, and read through once to verify it. What is open can be read to its end,
    whatever becomes of its name, so it has to be done right before the output is passed on: each holds a descriptor.

    Returns
    -------
    bool
        False when the command has to run again, since a part is gone or corrupt.
    """
    try:
        if not isinstance(record.stdout_data, bytes):
            record.stdout_data = _verified(record.stdout, store)
        if not isinstance(record.stderr_data, bytes):
            record.stderr_data = _verified(record.stderr, store)
    except BufferMissingError:
        return False
    return True


def _verified(checksum: str, store: Store) -> Reader:
    reader = store.open(checksum)
    try:
        while reader.read(IN_MEMORY):
            continue
        reader.seek(0)
    except BaseException:
        reader.close()
        raise
    return reader


def chunks(data: bytes | Reader | None, checksum: str, store: Store) -> Iterator[bytes]:
    """Yield a buffer that is already here, or else read it from the store; one that is open is closed at its end."""
    if isinstance(data, bytes):
        yield data
        return
    with store.open(checksum) if data is None else data as reader:
        while chunk := reader.read(IN_MEMORY):
            yield chunk


def _load_manifests(records: Sequence[CommandRecord], store: Store) -> None:
    trees = [item for record in records for item in record.outputs if item.kind == "directory"]
    if not trees:
        return
    from offload.identity.directories import decode_manifest

    for item, data in zip(trees, store.get([item.checksum for item in trees]), strict=True):
        # A manifest that is gone shows when the sizes are asked for.
        item.entries = [] if data is None else decode_manifest(data)


def _parts(record: CommandRecord) -> Iterator[str]:
    yield record.stdout
    yield record.stderr
    for item in record.outputs:
        yield item.checksum
        for entry in item.entries:
            if entry.kind == "file":
                yield entry.value
