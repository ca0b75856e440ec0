"""A storage service as its clients see it: connections that are kept, deadlines, and errors in plain words."""

from __future__ import annotations

import os
import time
from _thread import allocate_lock

from offload.errors import StorageError, UsageError
from offload.http.connection import Connection, ConnectionLostError, in_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType

    from offload.http.connection import Body, Buffer, Response

CONNECT = 10.0
"""Seconds for making a connection."""

IDLE = 120.0
"""Seconds for every single wait for the other side."""

_STOPPING = 503  # what a service answers that has been told to stop
_FRESH = 30.0  # seconds for which an idle connection is trusted; the server keeps it for longer


class Client:
    """Sends requests to one storage service. Safe for many threads; each uses connections of its own.

    Parameters
    ----------
    url : str
        Such as ``https://host:8443``.
    token : str
        What the service wants to be shown.
    authority : str, optional
        The file with the certificate of the deployment's authority: no other is trusted. Needed with https.
    name : str, optional
        What the service's certificate is made out to, where this is not the host of the URL (through a tunnel).
    connect, idle : float
        Deadlines, in seconds.
    """

    def __init__(
        self,
        url: str,
        token: str,
        authority: str | None = None,
        name: str | None = None,
        connect: float = CONNECT,
        idle: float = IDLE,
    ) -> None:
        scheme, _, rest = url.partition("://")
        host, separator, port = rest.rstrip("/").rpartition(":")
        if scheme not in ("http", "https") or not separator or not port.isdigit() or not host:
            raise UsageError(f"{url} is no address of a storage service", "it looks like https://HOST:PORT")
        if scheme == "https" and authority is None:
            raise UsageError(f"{url} needs the certificate of its authority", "it is ca.pem of the deployment")
        if not token.isascii() or not token.isprintable():
            raise UsageError("the token is no line of plain text", "read it from the deployment's token file")
        self.where = f"{host}:{port}"
        self.host = host.strip("[]")
        self.port = int(port)
        self._name = name or self.host
        self._authority = authority if scheme == "https" else None
        self._headers = {"Host": self.where, "Authorization": f"Bearer {token}"}
        self._deadlines = (connect, idle)
        self._context: ssl.SSLContext | None = None
        self._lock = allocate_lock()
        self._idle: list[Connection] = []
        self._process = os.getpid()

    def call(
        self,
        method: str,
        path: str,
        body: bytes | Sequence[Buffer] | None = None,
        headers: Mapping[str, str] | None = None,
        again: bool = True,
        idle: float | None = None,
    ) -> Answer:
        """Send a request and read the whole answer.

        Parameters
        ----------
        method, path, body, headers
            The request.
        again : bool
            Whether doing it twice does no harm: only then is it sent anew when a kept connection turns out to be dead.
        idle : float, optional
            A deadline of its own, in seconds, for what takes long.

        Returns
        -------
        Answer
            Its status, headers and body.

        Raises
        ------
        StorageError
            The service cannot be reached, or says that it cannot do this; of the kind that it says.
        """
        with self.exchange(method, path, body, headers, again, idle) as response:
            return Answer(response.status, response.headers, response.read())

    def exchange(
        self,
        method: str,
        path: str,
        body: Body = None,
        headers: Mapping[str, str] | None = None,
        again: bool = True,
        idle: float | None = None,
    ) -> Exchange:
        """Send a request and give the answer to be read in a ``with`` statement; see `call`.

        A body that is neither bytes nor a list of them is read once, so such a request is never sent anew.
        """
        wanted = {**self._headers, **(headers or {})}
        again = again and (body is None or isinstance(body, (bytes, list)))
        connection, kept = self._connection()
        try:
            connection.patience(idle or self._deadlines[1])
            try:
                response = connection.request(method, path, wanted, body)
            except ConnectionLostError as error:
                if not (kept and again) or error.started:
                    raise
                connection.close()
                connection = self._connect()
                connection.patience(idle or self._deadlines[1])
                response = connection.request(method, path, wanted, body)
            if response.status >= 400:
                self._fail(response)
        except ConnectionLostError as error:
            connection.close()
            raise self.lost(error) from error
        except BaseException:
            connection.close()
            raise
        return Exchange(self, connection, response)

    def _fail(self, response: Response) -> None:
        from offload.http.errors import from_body

        error = from_body(response.status, response.read(), self.where)
        if response.status == _STOPPING:
            raise ConnectionLostError(error.message, started=True)  # it is as good as gone, and may come back
        raise error

    def lost(self, error: Exception) -> StorageError:
        """Make the error for a service that is away."""
        said = in_words(error) if isinstance(error, OSError) else error
        return StorageError(
            f"the storage service at {self.where} does not answer: {said}",
            "see whether it runs, and can be reached from here: offload status, offload doctor",
        )

    # Connections

    def _connection(self) -> tuple[Connection, bool]:
        """Take a connection that is open, or make one; tells which."""
        if self._process != os.getpid():
            self._after_fork()
        while True:
            with self._lock:
                if not self._idle:
                    break
                connection = self._idle.pop()
            if time.monotonic() - connection.used < _FRESH and not connection.stale:
                return connection, True
            connection.close()
        return self._connect(), False

    def _after_fork(self) -> None:
        # The parent talks on these connections. Closing the descriptors says nothing to the server.
        self._process = os.getpid()
        self._lock = allocate_lock()
        for connection in self._idle:
            connection.abandon()
        self._idle = []

    def _connect(self) -> Connection:
        try:
            if self._authority is not None and self._context is None:
                self._context = self._tls(self._authority)
            return Connection(self.host, self.port, self._context, self._name, *self._deadlines)
        except OSError as error:
            if type(error).__name__ == "SSLCertVerificationError":
                from offload.http.certificate_times import of_clocks

                wrong = of_clocks(error, f"the service at {self.where}", self.host, self.port)  # type: ignore[arg-type]
                if wrong is not None:
                    raise wrong from error
                raise StorageError(
                    f"the storage service at {self.where} is not the one of this deployment: {error}",
                    "something else answers there, or the deployment was made anew: join it again",
                ) from error
            raise self.lost(error) from error

    @staticmethod
    def _tls(authority: str) -> ssl.SSLContext:
        import ssl

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        try:
            context.load_verify_locations(authority)
        except OSError as error:
            raise UsageError(f"the authority's certificate {authority} cannot be used: {error}") from error
        return context

    def keep(self, connection: Connection) -> None:
        """Put back a connection that can be used again."""
        connection.used = time.monotonic()
        with self._lock:
            self._idle.append(connection)

    def close(self) -> None:
        """Close the connections that are not in use."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()


class Answer:
    """The whole answer to a request."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


class Exchange:
    """A request that was sent and the answer that is coming; its connection goes back when all of it was read."""

    def __init__(self, client: Client, connection: Connection, response: Response) -> None:
        self._client = client
        self._connection = connection
        self._response = response

    def __enter__(self) -> Reading:
        return Reading(self._client, self._response)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._response.reusable:
            self._client.keep(self._connection)
        else:
            self._connection.close()


class Reading:
    """The body of an answer as it comes; what breaks off raises an error that names the service."""

    def __init__(self, client: Client, response: Response) -> None:
        self._client = client
        self._response = response
        self.status = response.status
        self.headers = response.headers

    def chunks(self) -> Iterator[bytes]:
        """Give what is left of the body, in chunks."""
        try:
            yield from self._response.chunks()
        except ConnectionLostError as error:
            raise self._client.lost(error) from error

    def read(self) -> bytes:
        """Give what is left of the body."""
        return b"".join(self.chunks())

    def whole(self) -> bytes | memoryview:
        """Give the whole body; a large one as a view of memory of its own, into which it has come."""
        try:
            return self._response.whole()
        except ConnectionLostError as error:
            raise self._client.lost(error) from error

    def exactly(self, count: int) -> bytes:
        """Give the next bytes."""
        try:
            return self._response.exactly(count)
        except ConnectionLostError as error:
            raise self._client.lost(error) from error
