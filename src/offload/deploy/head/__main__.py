"""``python -m offload.deploy.head PLACE``: run the head of a deployment, in the foreground."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import ssl
import sys

from aiohttp import web

from offload.deploy import security
from offload.deploy.endpoints import free_port
from offload.deploy.head.api import application
from offload.deploy.head.supervisor import Head, log
from offload.deploy.registry import Place

PREFERRED = 8787


async def serve(place: Place) -> None:
    """Run a head until it is told to end."""
    spec = place.read_spec()
    port = free_port(spec.host, None, spec.ports, PREFERRED)
    head = Head(place, f"https://{spec.host}:{port}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _, certificate, key = security.files(place.keys, "server")
    context.load_cert_chain(certificate, key)
    runner = web.AppRunner(application(head, security.read_token(place.keys)), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, spec.host, port, ssl_context=context).start()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, head.stop)
    log(f"{place.name} begins, process {os.getpid()}, {head.contact.head['url']}")
    await head.start()
    log(f"{place.name} is up: {head.contact.scheduler}")
    await head.stopped.wait()
    await runner.cleanup()
    log(f"{place.name} has ended")


def main(path: str) -> int:
    """Run the head of the deployment in a directory, unless one runs already."""
    place = Place(path)
    lock = os.open(os.path.join(path, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        log(f"{place.name} has a head already")
        return 1
    asyncio.run(serve(place))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
