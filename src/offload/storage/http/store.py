"""The store of a storage service. Whatever comes from it is verified here."""

from __future__ import annotations

import os
from itertools import chain

from offload.errors import BufferMissingError, ChecksumMismatchError, NotFoundError, StorageError, UsageError
from offload.http.client import Client
from offload.identity.checksums import checksum as checksum_of
from offload.identity.checksums import checksum_of_chunks, is_checksum
from offload.storage.http import protocol
from offload.storage.local.leases import Lease
from offload.storage.reader import BytesReader, Reader
from offload.storage.records import Collected, Usage
from offload.storage.retrying import on_the_way
from offload.storage.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    import io
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

    from offload.storage.local.eviction import Costs
    from offload.storage.store import Data

ASKED = 100_000
"""Checksums of one request; more are asked for in several."""

_COLLECTING = 3600.0  # seconds that the service may take to tidy up
_STORING = 900.0  # and to bring large buffers to its disk, or to read them there


class HttpStore(Store):
    """The store of a storage service.

    Parameters
    ----------
    client : Client
        Where it is; closed with the store.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def _ask(self, question: str, checksums: Sequence[str], idle: float | None = None) -> bytes:
        """Ask something of many buffers; gives the answers, of the same length for each, in a row."""
        answers = []
        for start in range(0, len(checksums), ASKED):
            body = protocol.pack_checksums(checksums[start : start + ASKED])
            answers.append(self._client.call("POST", f"/v1/{question}", body, idle=idle).body)
        return b"".join(answers)

    def has(self, checksums: Sequence[str]) -> list[bool]:
        return list(map(bool, self._ask("has", checksums)))

    def sizes(self, checksums: Sequence[str]) -> list[int | None]:
        return protocol.unpack_sizes(self._ask("sizes", checksums))

    def resolve(self, digits: str) -> str | None:
        from urllib.parse import quote

        found: str | None = self._row("GET", f"/v1/resolve?digits={quote(digits, safe='')}")
        return found

    def get(self, checksums: Sequence[str]) -> list[bytes | None]:
        found: list[bytes | None] = []
        corrupt: list[str] = []
        for start in range(0, len(checksums), ASKED):
            part = checksums[start : start + ASKED]
            with self._client.exchange("POST", "/v1/get", protocol.pack_checksums(part)) as answer:
                for checksum in part:
                    data = _whole(answer)
                    if data is not None and checksum_of(data) != checksum:
                        corrupt.append(checksum)
                        data = None
                    found.append(data)
                answer.read()
        if corrupt:
            self._check(corrupt)
        return found

    def _check(self, checksums: Sequence[str]) -> None:
        """Let the service look at buffers that arrived corrupt, and set them aside; if they are good, complain."""
        if any(self._ask("check", checksums, _STORING)):
            raise StorageError(
                f"buffer {checksums[0]} is good, but was changed on its way from {self._client.where}",
                "something between here and there changes data; use TLS",
            )

    def put(self, buffers: Sequence[Data]) -> list[str]:
        checksums: list[str] = []
        sent: dict[str, tuple[bytes, ...]] = {}
        large: list[str] = []
        for buffer in buffers:
            chunks = (buffer,) if isinstance(buffer, bytes) else tuple(buffer)
            size = sum(memoryview(chunk).nbytes for chunk in chunks)
            if size > protocol.PIECE and not all(isinstance(chunk, bytes) for chunk in chunks):
                # Somebody may change these bytes meanwhile, so they are hashed as they are sent.
                checksums.append(self.put_stream(chunks))
                continue
            constant = tuple(map(bytes, chunks))
            checksum = checksum_of_chunks(constant)
            checksums.append(checksum)
            sent[checksum] = constant
            if size > protocol.PIECE:
                large.append(checksum)
        for checksum, there in zip(large, self._ask("touch", large, _STORING), strict=True):
            if there:
                sent.pop(checksum, None)
        if sent:
            with self._client.exchange("POST", "/v1/put", _body(sent.values()), idle=_STORING) as answer:
                kept = protocol.unpack_checksums(answer.read())
            if kept != list(sent):
                raise self._changed("buffers were")
        return checksums

    def _changed(self, what: str) -> StorageError:
        return StorageError(
            f"{what} changed on the way to {self._client.where}", "use TLS, or look for what is between"
        )

    def put_stream(self, chunks: Iterable[bytes | memoryview], expected: str | None = None) -> str:
        from hashlib import sha256

        digest = sha256()

        def hashed() -> Iterator[bytes]:
            for chunk in chunks:
                view = memoryview(chunk)
                for start in range(0, view.nbytes, protocol.PIECE):
                    data = bytes(view.cast("B")[start : start + protocol.PIECE])
                    digest.update(data)
                    yield data

        name = self._send(hashed(), expected, "the stream", {})
        if name != digest.hexdigest():
            raise self._changed("the stream was")
        return name

    def _send(self, body: Iterable[bytes] | io.FileIO, expected: str | None, what: str, headers: dict[str, str]) -> str:
        method, path = ("POST", "/v1/buffers") if expected is None else ("PUT", f"/v1/buffers/{_named(expected)}")
        try:
            with self._client.exchange(method, path, body, headers, idle=_STORING) as answer:
                return answer.read().decode("ascii").strip()
        except ChecksumMismatchError as error:
            raise ChecksumMismatchError(error.message.replace("the stream", what), error.hint) from error

    def put_file(self, path: str, expected: str | None = None) -> str:
        from offload.storage.user_files import open_file

        with open_file(path) as file:
            size = os.fstat(file.fileno()).st_size
            if expected is None:
                return self.put_stream(iter(lambda: file.read(protocol.PIECE), b""))
            if size > protocol.PIECE and self._ask("touch", [expected], _STORING)[0] and self._same(path, expected):
                return expected
            return self._send(file, expected, path, {"Content-Length": str(size)})

    @staticmethod
    def _same(path: str, expected: str) -> bool:
        from offload.identity.files import file_checksum

        return file_checksum(path) == expected

    def open(self, checksum: str) -> Reader:
        from offload.storage.http.reader import HELD, RemoteReader

        headers = {"Range": f"bytes=0-{protocol.PIECE - 1}", "Want-Content-Digest": "sha-256=1"}
        path = f"/v1/buffers/{_named(checksum)}"
        try:
            answer = self._client.call("GET", f"{path}?lease={HELD:.0f}", headers=headers)
        except NotFoundError as error:
            raise BufferMissingError(error.message, error.hint) from error
        if answer.status == 200:
            if checksum_of(answer.body) != checksum:
                self._check([checksum])
                raise _missing(checksum)
            return BytesReader(checksum, answer.body)
        size = int(answer.headers["content-range"].rpartition("/")[2])
        self._digest(checksum, answer.headers, answer.body)
        lease = self._lease([checksum], answer.headers[protocol.LEASE.lower()])

        def fetch(start: int, stop: int) -> bytes:
            wanted = {"Range": f"bytes={start}-{stop - 1}", "Want-Content-Digest": "sha-256=1"}
            part = self._client.call("GET", path, headers=wanted)
            self._digest(checksum, part.headers, part.body)
            if len(part.body) != stop - start:
                raise StorageError(f"{self._client.where} gave {len(part.body)} bytes instead of {stop - start}")
            return part.body

        return RemoteReader(checksum, size, fetch, lease, answer.body)

    def _digest(self, checksum: str, headers: dict[str, str], body: bytes) -> None:
        from binascii import b2a_base64
        from hashlib import sha256

        told = headers.get("content-digest", "")
        if told != f"sha-256=:{b2a_base64(sha256(body).digest(), newline=False).decode()}:":
            raise StorageError(
                f"a part of buffer {checksum} was changed on its way from {self._client.where}", "use TLS"
            )

    def extract(self, checksum: str, path: str, mode: int = 0o644) -> None:
        from offload.storage.http.extraction import extract

        extract(self._client, _named(checksum), path, mode, lambda: self._check([checksum]))

    def delete(self, checksums: Sequence[str]) -> int:
        return sum(
            self._row("POST", "/v1/delete", protocol.pack_checksums(checksums[start : start + ASKED]))
            for start in range(0, len(checksums), ASKED)
        )

    def lease(self, checksums: Sequence[str], seconds: float = 3600.0) -> Lease:
        return self._lease(checksums, self._leased(checksums, seconds))

    def _leased(self, checksums: Sequence[str], seconds: float) -> str:
        answer = self._client.call("POST", f"/v1/leases?lease={seconds}", protocol.pack_checksums(checksums))
        return answer.headers[protocol.LEASE.lower()]

    def _lease(self, checksums: Sequence[str], identifier: str) -> Lease:
        def renewed(seconds: float) -> None:
            nonlocal identifier
            try:
                self._client.call("POST", f"/v1/leases/{identifier}?lease={seconds}", b"")
            except NotFoundError:
                # The service was started anew, or the lease had run out.
                identifier = self._leased(checksums, seconds)

        def released() -> None:
            try:
                self._client.call("DELETE", f"/v1/leases/{identifier}")
            except StorageError as error:
                if not on_the_way(error):  # a service that is away lets it run out
                    raise

        return Lease(renewed, released)

    def usage(self) -> Usage:
        return Usage(*self._row("GET", "/v1/usage"))

    def collect(self, max_size: int, dry_run: bool = False, costs: Costs | None = None) -> Collected:
        path = f"/v1/collect?max_size={max_size}&dry_run={int(dry_run)}"
        return Collected(*self._row("POST", path, b"", _COLLECTING))

    def _row(self, method: str, path: str, body: bytes | None = None, idle: float | None = None) -> Any:
        from offload.storage.http.rows import unpack

        return unpack(self._client.call(method, path, body, idle=idle).body)

    def close(self) -> None:
        self._client.close()


def _whole(answer: Any) -> bytes | None:
    """Read a whole buffer from its frame."""
    try:
        parts = list(protocol.pieces(answer))
    except protocol.BufferGoneError:
        return None
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _frames(buffers: Iterable[tuple[bytes, ...]]) -> Iterator[bytes]:
    for chunks in buffers:
        if len(chunks) == 1 and len(chunks[0]) <= protocol.PIECE:
            yield protocol.small_frame(chunks[0])
        else:
            yield from protocol.frame(chunks)


def _body(buffers: Iterable[tuple[bytes, ...]]) -> bytes | Iterator[bytes]:
    """Give the frames of buffers: as a whole when they are few, so that the request can be sent again, else grouped."""
    groups = _grouped(_frames(buffers))
    first = next(groups, b"")
    second = next(groups, None)
    return first if second is None else chain((first, second), groups)


def _grouped(frames: Iterable[bytes]) -> Iterator[bytes]:
    """Put small frames together, so that each is not sent by itself."""
    group: list[bytes] = []
    size = 0
    for one in frames:
        group.append(one)
        size += len(one)
        if size >= protocol.PIECE:
            yield b"".join(group)
            group, size = [], 0
    if group:
        yield b"".join(group)


def _named(checksum: str) -> str:
    """Give the checksum back; nothing else gets into a path."""
    if not is_checksum(checksum):
        raise UsageError(f"{checksum!r} is no checksum")
    return checksum


def _missing(checksum: str) -> BufferMissingError:
    return BufferMissingError(f"buffer {checksum} is not in the store", "it was found corrupt and has been set aside")
