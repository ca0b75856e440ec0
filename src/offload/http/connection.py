"""HTTP/1.1 on one connection: as much of it as the storage service speaks.

`http.client` would load the email package, which takes as long as Python itself: docs/decisions/0021.
"""

from __future__ import annotations

import os
import select
import socket
import time

from offload.errors import StorageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import io
    import ssl
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import TypeVar

    A = TypeVar("A")
    T = TypeVar("T")

    Buffer = bytes | bytearray | memoryview
    Body = bytes | Sequence[Buffer] | Iterable[Buffer] | io.FileIO | None

_READ = 256 * 1024
_HEAD = 64 * 1024  # no response has longer headers
_CUT = ("SSLEOFError", "SSLZeroReturnError")
_LARGE = 1024 * 1024
_TOGETHER = 16 * 1024  # a body up to here is sent with its headers


def in_words(error: OSError) -> str:
    """Return what has happened to a connection: numbers, and what TLS calls it, help nobody."""
    if isinstance(error, ConnectionResetError | BrokenPipeError) or type(error).__name__ in _CUT:
        return "the connection was cut"
    return error.strerror or str(error) or type(error).__name__


def _size(part: Buffer) -> int:
    return len(part) if isinstance(part, bytes) else memoryview(part).nbytes


class ConnectionLostError(Exception):
    """The connection broke or fell silent. `started` tells whether the server had begun to answer."""

    def __init__(self, reason: str, started: bool) -> None:
        super().__init__(reason)
        self.started = started


class Connection:
    """One connection to a server.

    Parameters
    ----------
    host, port
        The server.
    context : SSLContext, optional
        None: without TLS.
    name : str
        What the server's certificate must be made out to.
    connect, idle : float
        Seconds for connecting, and for every single wait after that.
    """

    def __init__(
        self, host: str, port: int, context: ssl.SSLContext | None, name: str, connect: float, idle: float
    ) -> None:
        sock = socket.create_connection((host, port), connect)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket = sock if context is None else context.wrap_socket(sock, server_hostname=name)
        except BaseException:
            sock.close()
            raise
        self.plain = context is None
        self._socket.settimeout(idle)
        self._buffer = bytearray()
        self.used = time.monotonic()

    @property
    def stale(self) -> bool:
        """Whether the server has closed the connection, or sent what nobody asked for."""
        poll = select.poll()
        poll.register(self._socket.fileno(), select.POLLIN)
        return bool(self._buffer or poll.poll(0))

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def abandon(self) -> None:
        """Let go of the connection, which another process uses."""
        os.close(self._socket.detach())

    def patience(self, seconds: float) -> None:
        """Set the deadline of every single wait."""
        self._socket.settimeout(seconds)

    def request(self, method: str, path: str, headers: Mapping[str, str], body: Body) -> Response:
        """Send a request and give the response once its headers are there.

        Parameters
        ----------
        method, path, headers
            Of the request; what describes the body is added.
        body : bytes, list of bytes, iterable of bytes, or file
            Another iterable than a list is sent in chunks. Of a file, so many bytes are sent as the headers tell.

        Raises
        ------
        ConnectionLostError
            There is no answer.
        """
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        if isinstance(body, bytes):
            lines.append(f"Content-Length: {len(body)}")
        elif isinstance(body, list):
            lines.append(f"Content-Length: {sum(map(_size, body))}")
        elif body is not None and "Content-Length" not in headers:
            lines.append("Transfer-Encoding: chunked")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        try:
            self._send(head, body, int(headers.get("Content-Length", 0)))
        except OSError as error:
            # The server may have said why it stopped reading.
            try:
                return self._response(method)
            except ConnectionLostError:
                raise ConnectionLostError(in_words(error), False) from error
        return self._response(method)

    def _send(self, head: bytes, body: Body, size: int) -> None:
        if body is None:
            self._socket.sendall(head)
        elif isinstance(body, bytes):
            if len(body) <= _TOGETHER:
                self._socket.sendall(head + body)
            else:
                self._socket.sendall(head)
                self._socket.sendall(body)
        elif isinstance(body, list):
            self._socket.sendall(head)
            for part in body:
                self._socket.sendall(part)
        elif hasattr(body, "fileno"):
            self._socket.sendall(head)
            self._send_file(body, size)  # type: ignore[arg-type]
        else:
            self._socket.sendall(head)
            end = b""  # of the chunk before
            for part in body:
                length = _size(part)
                if not length:
                    continue
                if length > _TOGETHER:
                    self._socket.sendall(b"%b%x\r\n" % (end, length))
                    self._socket.sendall(part)
                else:
                    self._socket.sendall(b"".join((end, b"%x\r\n" % length, part)))
                end = b"\r\n"
            self._socket.sendall(end + b"0\r\n\r\n")

    def _send_file(self, file: io.FileIO, size: int) -> None:
        if self.plain:
            sent = self._socket.sendfile(file, 0, size) if size else 0
        else:
            sent = 0
            while sent < size and (data := file.read(min(size - sent, _READ))):
                self._socket.sendall(data)
                sent += len(data)
        if sent < size:
            raise StorageError(f"a file became shorter while it was sent: {sent} bytes instead of {size}")

    def _response(self, method: str) -> Response:
        while True:
            head = self._head()
            lines = head.decode("latin-1").split("\r\n")
            try:
                status = int(lines[0].split(" ", 2)[1])
                headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines[1:])}
            except (ValueError, IndexError):
                raise ConnectionLostError("this is no HTTP", True) from None
            if status >= 200:
                return Response(self, method, status, headers)

    def _head(self) -> bytes:
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > _HEAD:
                raise ConnectionLostError("this is no HTTP", True)
            self._fill(bool(self._buffer))
        head = bytes(self._buffer[:end])
        del self._buffer[: end + 4]
        return head

    def _fill(self, started: bool) -> None:
        data = self.receive(_READ, started)
        self._buffer += data

    def receive(self, count: int, started: bool = True) -> bytes:
        """Read up to so many bytes; none is an error."""
        return self._received(self._socket.recv, count, started)

    @staticmethod
    def _received(receive: Callable[[A], T], what: A, started: bool) -> T:
        try:
            received = receive(what)
        except TimeoutError as error:
            raise ConnectionLostError("no byte came in time", True) from error
        except OSError as error:
            raise ConnectionLostError(in_words(error), started) from error
        if not received:
            raise ConnectionLostError("the connection was closed", started)
        return received

    def fill(self, room: memoryview) -> None:
        """Read as many bytes of a body as there is room for."""
        had = min(len(self._buffer), len(room))
        room[:had] = self._buffer[:had]
        del self._buffer[:had]
        left = room[had:]
        while left:
            left = left[self._received(self._socket.recv_into, left, True) :]

    def some(self, count: int) -> bytes:
        """Read up to so many bytes of a body."""
        if self._buffer:
            data = bytes(self._buffer[:count])
            del self._buffer[:count]
            return data
        return self.receive(count)

    def line(self) -> bytes:
        """Read a line of a chunked body."""
        while (end := self._buffer.find(b"\r\n")) < 0:
            if len(self._buffer) > _HEAD:
                raise ConnectionLostError("this is no HTTP", True)
            self._fill(True)
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line


class Response:
    """An answer whose body is still to be read.

    Attributes
    ----------
    status : int
        Such as 200.
    headers : dict
        By lower-case names.
    complete : bool
        Whether the body has been read to its end: the connection can be used again.
    """

    def __init__(self, connection: Connection, method: str, status: int, headers: dict[str, str]) -> None:
        self._connection = connection
        self.status = status
        self.headers = headers
        self._chunked = headers.get("transfer-encoding", "").lower() == "chunked"
        length = headers.get("content-length", "")
        if method == "HEAD" or status in (204, 304):
            self._chunked, length = False, "0"
        if not self._chunked and not length.isdigit():
            raise ConnectionLostError("an answer without a length", True)
        self._left = 0 if self._chunked else int(length)
        self.complete = not self._chunked and self._left == 0
        self._pending = b""
        self._position = 0

    @property
    def reusable(self) -> bool:
        """Whether another request may follow on this connection."""
        read = self._position == len(self._pending)
        return self.complete and read and self.headers.get("connection", "").lower() != "close"

    def chunks(self) -> Iterator[bytes]:
        """Give the body as it comes.

        Raises
        ------
        ConnectionLostError
            It breaks off.
        """
        if self._position < len(self._pending):
            pending = self._pending[self._position :]
            self._pending, self._position = b"", 0
            yield pending
        while not self.complete:
            if self._left == 0:
                try:
                    self._left = int(self._connection.line().split(b";")[0], 16)
                except ValueError:
                    raise ConnectionLostError("this is no HTTP", True) from None
                if self._left == 0:
                    while self._connection.line():
                        continue
                    self.complete = True
                    return
            data = self._connection.some(min(self._left, _READ))
            self._left -= len(data)
            if self._left == 0:
                if self._chunked:
                    self._connection.line()
                else:
                    self.complete = True
            yield data

    def read(self) -> bytes:
        """Give the whole body."""
        return b"".join(self.chunks())

    def whole(self) -> bytes | memoryview:
        """Give the whole body; a large one as a view of memory of its own, into which it has come."""
        if self._left < _LARGE or self._chunked or self._position < len(self._pending):
            return self.read()
        from offload.util.memory import room

        body = room(self._left)
        self._connection.fill(body)
        self._left, self.complete = 0, True
        return body

    def exactly(self, count: int) -> bytes:
        """Give the next bytes of the body.

        Raises
        ------
        ConnectionLostError
            It ends before.
        """
        if len(self._pending) - self._position < count:
            parts = [self._pending[self._position :]]
            size = len(parts[0])
            self._pending, self._position = b"", 0
            for data in self.chunks():
                parts.append(data)
                size += len(data)
                if size >= count:
                    break
            else:
                raise ConnectionLostError("the answer ends too early", True)
            self._pending = b"".join(parts)
        start = self._position
        self._position += count
        return self._pending[start : self._position]
