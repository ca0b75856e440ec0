"""What a stranger tries on the ports and files of a deployment. Needs nothing but Python, so that any user can run it.

Reads from standard input, as JSON, the TCP ports, the Unix sockets, the top directories to look into, and perhaps a
certificate of some other authority and another host than this one; writes what it got, as JSON.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import ssl
import sys
from concurrent.futures import ThreadPoolExecutor

PATHS = (
    "/", "/status", "/info/main/workers.html", "/login", "/login?token=x", "/metrics", "/health", "/json/counts.json",
    "/status/ws", "/sitemap.json", "/v1/status", "/v1/baskets/x", "/v1/../status", "//status", "/v1/idle",
)  # fmt: skip
WEBSOCKET = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    f"Sec-WebSocket-Key: {base64.b64encode(bytes(16)).decode()}\r\nSec-WebSocket-Protocol: bokeh, x\r\n"
)
HEADERS = (
    "",
    "Authorization: Bearer x\r\n",
    "Authorization: Bearer \r\n",
    "Authorization: Bearer \xff\r\n",
    "Cookie: offload=x\r\n",
    "Cookie: offload=\r\nOrigin: https://example.org\r\n",
    WEBSOCKET,
    f"{WEBSOCKET}Cookie: offload=x\r\nOrigin: https://example.org\r\n",
)
SECONDS = 15.0


def answer(host: str, port: int, said: bytes, context: ssl.SSLContext | None) -> bytes:
    """Return what a port answers, or nothing where it hangs up."""
    try:
        with socket.create_connection((host, port), SECONDS) as plain:
            connection = context.wrap_socket(plain) if context is not None else plain
            with connection:
                connection.settimeout(SECONDS)
                connection.sendall(said)
                got = b""
                while len(got) < 100_000 and (chunk := connection.recv(10_000)):
                    got += chunk
                return got
    except OSError:
        return b""


def stranger(certificate: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if certificate is not None:
        context.load_cert_chain(certificate + ".pem", certificate + ".key")
    return context


def try_ports(ports: list[int], certificate: str | None, host: str = "127.0.0.1") -> list[tuple[int, str, str]]:
    lines = [(f"GET {path}", headers) for path in PATHS for headers in HEADERS]
    lines += [("POST /v1/down", headers) for headers in HEADERS]
    requests = [
        f"{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\r\n".encode("latin-1")
        for line, headers in (lines[::-7] if certificate else lines)
    ]
    context = stranger(certificate)
    tries: list[tuple[int, bytes, ssl.SSLContext | None]]
    tries = [(port, said, context) for port in ports for said in requests]
    tries += [(port, said, None) for port in ports for said in (requests[0], bytes(64))]
    with ThreadPoolExecutor(16) as pool:
        answers = pool.map(lambda one: answer(host, *one), tries)
        return [(p, s.decode("latin-1"), a.decode("latin-1")) for (p, s, _), a in zip(tries, answers, strict=True) if a]


def try_sockets(paths: list[str]) -> list[str]:
    opened = []
    for path in paths:
        with socket.socket(socket.AF_UNIX) as one:
            try:
                one.connect(path)
                opened.append(path)
            except OSError:
                continue
    return opened


def try_files(tops: list[str]) -> list[str]:
    """Return the files that can be read and the directories that can be looked into."""
    found = []
    for top in tops:
        for folder, _, names in os.walk(top):
            found.append(folder)
            found += [path for name in names if os.access(path := os.path.join(folder, name), os.R_OK)]
    return [path for path in found if os.access(path, os.R_OK)]


def main() -> None:
    asked = json.load(sys.stdin)
    got = {
        "user": os.geteuid(),
        "ports": try_ports(asked["ports"], asked["certificate"], asked.get("host", "127.0.0.1")),
        "sockets": try_sockets(asked["sockets"]),
        "files": try_files(asked["tops"]),
        "environments": [pid for pid in asked["processes"] if os.access(f"/proc/{pid}/environ", os.R_OK)],
    }
    json.dump(got, sys.stdout)


if __name__ == "__main__":
    main()
