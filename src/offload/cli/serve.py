"""``offload serve``: store and database over HTTP."""

from __future__ import annotations

import os
import sys

import click

from offload.errors import OffloadError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

EPILOG = """\b
    offload serve storage
    offload serve store --buffers /scratch/me/buffers --host 10.0.0.5 --port-range 60001-61000
    offload serve head local
    offload serve database --database /home/me/results.sqlite --insecure
"""


@click.command("serve", epilog=EPILOG)
@click.argument("what", type=click.Choice(["store", "database", "storage", "jobs", "head"]))
@click.argument("name", required=False)
@click.option("--buffers", metavar="DIR", help="The store's directory. Default: the one in OFFLOAD_HOME.")
@click.option("--database", "database_file", metavar="FILE", help="The database. Default: the one in OFFLOAD_HOME.")
@click.option("--no-sync", is_flag=True, help="Leave it to the system when large buffers reach the disk.")
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Where to listen.")
@click.option("--port", type=click.IntRange(0, 65535), help="The port; 0, the default, is any free one.")
@click.option("--port-range", metavar="A-B", help="Take a free port from this range.")
@click.option("--credentials", metavar="DIR", help="Where token and certificates are. Default: OFFLOAD_HOME/service.")
@click.option("--token-file", metavar="FILE", help="The token that clients show; made when missing.")
@click.option("--certificate", metavar="FILE", help="The certificate, in PEM format; with --key.")
@click.option("--key", metavar="FILE", help="The certificate's key.")
@click.option("--insecure", is_flag=True, help="Plain HTTP, on loopback addresses only.")
@click.option("--i-know", is_flag=True, help="With --insecure: on any address. Everybody on the way can read along.")
@click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="Stop when idle so long."
)
@click.option("--status-file", metavar="FILE", help="A JSON file that tells host, port, pid and status.")
def command(
    what: str,
    name: str | None,
    buffers: str | None,
    database_file: str | None,
    no_sync: bool,
    host: str,
    port: int | None,
    port_range: str | None,
    credentials: str | None,
    token_file: str | None,
    certificate: str | None,
    key: str | None,
    insecure: bool,
    i_know: bool,
    timeout: float | None,
    status_file: str | None,
) -> int:
    """Serve the store, the database, or both (storage) over HTTPS, until Ctrl-C or SIGTERM.

    Clients need the address, the token and the authority's certificate. Without --certificate, an authority and a
    certificate for --host are made. Nothing is answered without the token; it never stands on a command line.

    `jobs` and `head` run the job service, or the head with all that belongs to it, of the deployment NAME, as `offload
    up` has it: what to put into a supervisor's configuration. They take none of the options.
    """
    if what in ("jobs", "head"):
        _refuse_options()
        return _part(what, name)
    if name is not None:
        raise UsageError(f"{what} takes no name", "offload serve --help")
    import asyncio

    from offload.http.listen import bind
    from offload.storage.home import Home
    from offload.storage.http.server.run import serve
    from offload.storage.http.server.status import StatusFile
    from offload.util.trust import check

    if (certificate is None) != (key is None) or (insecure and certificate is not None):
        raise UsageError("give both --certificate and --key, or --insecure, or none of them")
    status = StatusFile(status_file)
    store = database = None
    try:
        ports = _ports(port, port_range)
        for given in filter(None, (buffers, database_file)):
            check(given)
        place = credentials or os.path.join(Home().path, "service")
        context = _context(host, place, certificate, key, insecure, i_know)
        token = _token(token_file or os.path.join(place, "token"))
        if what != "database":
            from offload.storage.local.store import DirectoryStore

            store = DirectoryStore(buffers or Home().store, sync=not no_sync)
            store.has([])  # what is wrong with it is to be known now; a disk that is away may come back
        if what != "store":
            from offload.storage.local.database import SqliteDatabase

            database = SqliteDatabase(database_file or Home().database)
            database.statistics()
        listener = bind(host, ports)
    except OffloadError:
        status.write("failed")
        raise
    try:
        asyncio.run(serve(store, database, token, listener, context, status, timeout))
    finally:
        for backend in (store, database):
            if backend is not None:
                backend.close()
    return 0


def _refuse_options() -> None:
    context = click.get_current_context()
    given = [
        parameter.opts[0]
        for parameter in context.command.params
        if isinstance(parameter, click.Option)
        and context.get_parameter_source(str(parameter.name)) is click.core.ParameterSource.COMMANDLINE
    ]
    if given:
        raise UsageError(f"{', '.join(given)} is not for jobs and head", "the deployment's own choices count")


def _part(what: str, name: str | None) -> int:
    """Run a part of a deployment until it is told to end."""
    import asyncio

    from offload.cli.worker import prepared

    place = prepared(name)
    if what == "head":
        from offload.util.processes import python

        sys.stdout.flush()
        program = python("offload.deploy.head", place.path)
        os.execv(program[0], program)  # by this name others find it
    from offload.deploy.manual_parts import enrolled
    from offload.deploy.services.jobs import serve as serve_jobs

    with enrolled(place):
        asyncio.run(serve_jobs(place, None, attached=False))
    return 0


def _ports(port: int | None, port_range: str | None) -> Sequence[int]:
    if port_range is None:
        return [port or 0]
    if port is not None:
        raise UsageError("give either --port or --port-range")
    from offload.util.quantities import parse_ports

    first, last = parse_ports(port_range)
    return range(first, last + 1)


def _token(path: str) -> str:
    from offload.deploy.security.pki import create_token

    return create_token(path)


def _context(
    host: str, place: str, certificate: str | None, key: str | None, insecure: bool, know: bool
) -> ssl.SSLContext | None:
    from offload.http.listen import check_insecure, server_context

    if insecure:
        check_insecure(host, know)
        return None
    if certificate is None or key is None:
        from offload.deploy.security.pki import create_authority, issue

        create_authority(place)
        paths = issue(place, "server", _names(host))
        certificate, key = paths.certificate, paths.key
    return server_context(certificate, key)


def _names(host: str) -> list[str]:
    """Return what clients may call the service that listens on an address."""
    import socket

    names = ["localhost", "127.0.0.1", "::1"] if host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "::") else []
    if host in ("0.0.0.0", "::"):
        names += [socket.gethostname(), socket.getfqdn()]
    return list(dict.fromkeys([*names, host]))
