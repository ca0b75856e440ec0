"""Where the service listens: the socket, TLS, and what is refused without it."""

from __future__ import annotations

import errno
import ipaddress
import random
import socket
from typing import TYPE_CHECKING

from offload.errors import StorageError, UsageError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence


def bind(host: str, ports: Sequence[int]) -> socket.socket:
    """Listen on the first free port.

    Parameters
    ----------
    host : str
        A name or address of this machine.
    ports : sequence of int
        Tried in random order when there are many, so that services that start at once do not meet; 0 is any free one.

    Raises
    ------
    UsageError
        The host is not of this machine.
    StorageError
        No port is free.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, ports[0], type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
            0
        ]
    except (OSError, UnicodeError) as error:
        raise UsageError(f"--host {host} is no address: {error}") from error
    for port in random.sample(ports, len(ports)):
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((address[0], port, *address[2:]))
            listener.listen(1024)
            listener.setblocking(False)
            return listener
        except OSError as error:
            listener.close()
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise UsageError(
                    f"cannot listen on {host}: {error.strerror}", "give an address of this machine"
                ) from error
    text = str(ports[0]) if len(ports) == 1 else f"{min(ports)}-{max(ports)}"
    raise StorageError(f"no port is free on {host} among {text}", "choose others with --port or --port-range")


def check_insecure(host: str, know: bool) -> None:
    """Refuse plain HTTP where others could listen in.

    Raises
    ------
    UsageError
        The address can be reached from other machines, and the user does not say that this is known.

    Examples
    --------
    >>> check_insecure("127.0.0.1", know=False)
    >>> check_insecure("0.0.0.0", know=False)
    Traceback (most recent call last):
    ...
    offload.errors.UsageError: without TLS, everybody on the way to 0.0.0.0 can read and change what is sent...
    """
    if not is_loopback(host) and not know:
        raise UsageError(
            f"without TLS, everybody on the way to {host} can read and change what is sent, and the token",
            "use a certificate, or listen on 127.0.0.1, or add --i-know",
        )


def is_loopback(host: str) -> bool:
    """Tell whether an address can be reached from this machine only.

    Examples
    --------
    >>> is_loopback("localhost"), is_loopback("::1"), is_loopback("10.0.0.1"), is_loopback("example.org")
    (True, True, False, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def server_context(certificate: str, key: str) -> ssl.SSLContext:
    """Make the server's side of TLS from its files.

    Raises
    ------
    UsageError
        They cannot be read, or do not belong together.
    """
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"the certificate {certificate} with the key {key} cannot be used: {reason}") from error
    return context
