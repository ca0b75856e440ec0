"""``offload join``, ``leave``, ``invite`` and ``revoke``: deployments that several people or machines use."""

from __future__ import annotations

import os
import stat
import sys
import time

import click

from offload.cli.arguments import json_option
from offload.cli.deployments.list import registry, running
from offload.cli.output import keep_quiet, say
from offload.cli.tables import write_json, write_line, write_table
from offload.errors import NotFoundError, UsageError

JOIN_EPILOG = """\b
Examples:
    offload join
    offload join invitation.txt --name theirs
    offload join --ssh me@login
    offload join --ssh me@login --local-ports 60001-60004
"""

INVITE_EPILOG = """\b
Examples:
    offload invite
    offload invite big --label "ben's laptop" --expires 8h
    offload invite --list
"""

_MOST = 1 << 20
_OTHERS = ((stat.S_IRGRP, stat.S_IXGRP), (stat.S_IROTH, stat.S_IXOTH))

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from offload.registry.contact import Contact
    from offload.registry.deployments import Place


@click.command(epilog=JOIN_EPILOG)
@click.argument("file", required=False, metavar="[FILE]")
@click.option("--name", metavar="NAME", help="What to call it here. Default: as its owner calls it.")
@click.option("--ssh", "site", metavar="USER@HOST", help="Reach it through this machine, by a tunnel.")
@click.option("--local-ports", metavar="A-B", help="For a tunnel: the 4 ports of this machine that lead there.")
@json_option
def join(file: str | None, name: str | None, site: str | None, local_ports: str | None, as_json: bool) -> int:
    """Make a deployment known here that somebody has invited you to, or your own on another machine.

    The join string, as `offload up` and `offload invite` print it, is read from FILE, from standard input, or asked
    for: it is a secret, and never stands on a command line. The connection is tried at once. Joined again, with another
    string, what is known here is renewed.
    """
    from offload.deploy.remote.join import join as make_known
    from offload.deploy.remote.join import name_for
    from offload.deploy.security.invitation import Invitation
    from offload.util.quantities import parse_ports

    if local_ports is not None and site is None:
        raise UsageError("only a tunnel has ports of its own on this machine", "give --ssh, too")
    invitation = Invitation.parse(_text(file))
    name = name or name_for(invitation)
    ports = None if local_ports is None else parse_ports(local_ports)
    contact = make_known(registry(), invitation, name, site, ports, keep_quiet if as_json else say)
    if as_json:
        write_json({"name": name, "owner": invitation.owner, "expires": invitation.expires, **vars(contact)})
        return 0
    until = "" if invitation.expires is None else f", until {_moment(invitation.expires)}"
    say(f"joined {name}, by leave of {invitation.owner}{until}")
    write_line(f"use it:     offload use {name}, or offload run --on {name} -- COMMAND")
    write_line(f'plain Dask: eval "$(offload env {name})", then dask.distributed.Client()')
    write_line(f"forget it:  offload leave {name}")
    return 0


def _text(file: str | None) -> str:
    """Return the text that holds a join string."""
    if file is not None and file.startswith("offload-join-"):
        raise UsageError("a join string is a secret, and no word of a command line", "offload join asks for it")
    if file is None and sys.stdin is not None and sys.stdin.isatty():
        return str(click.prompt("join string (not shown)", hide_input=True, err=True))
    try:
        if file is None or file == "-":
            return sys.stdin.read(_MOST) if sys.stdin is not None else ""
        with open(file, encoding="utf-8", errors="replace") as opened:
            return opened.read(_MOST)
    except OSError as exc:
        raise NotFoundError(f"{file} cannot be read: {exc.strerror}", "give the file that holds the string") from exc


@click.command(epilog="Example: offload leave theirs")
@click.argument("name")
def leave(name: str) -> int:
    """Forget a deployment elsewhere, which goes on."""
    from offload.deploy.lifecycle.local import state
    from offload.deploy.remote.up import leave as forget

    known = registry()
    place = known.get(name)
    found = state(place)
    forget(known, place, say)
    say(f"{name} is not known here any more{'; it goes on where it is' if found == 'running' else ''}")
    return 0


@click.command(epilog=INVITE_EPILOG)
@click.argument("name", required=False)
@click.option("--expires", metavar="TIME", help="For how long: 30m, 8h, 7d. Default: as long as the deployment lasts.")
@click.option("--label", metavar="TEXT", help="Whom or what it is for.")
@click.option("--list", "listing", is_flag=True, help="Show who was invited.")
@json_option
def invite(name: str | None, expires: str | None, label: str | None, listing: bool, as_json: bool) -> int:
    """Print a join string, by which somebody else, or you from another machine, can use a deployment.

    Whoever has it can do there what you can, until it expires or is revoked.
    """
    from offload.deploy.remote import invite as inviting
    from offload.util.quantities import parse_duration

    if listing and (expires or label):
        raise UsageError("--list takes neither --expires nor --label")
    place, contact = running(name)
    if listing:
        found = inviting.invited(place, contact)
        if as_json:
            write_json(found)
        else:
            header = ("GRANT", "STATE", "GIVEN", "EXPIRES", "LABEL")
            write_table(header, [_row(grant) for grant in found])
        return 0
    seconds = None if expires is None else parse_duration(expires)
    invitation = inviting.invite(place, contact, label or "", seconds)
    if as_json:
        told = {"name": place.name, "grant": invitation.grant, "expires": invitation.expires}
        write_json({**told, "join": invitation.text()})
        return 0
    for line in inviting.instructions(invitation):
        write_line(line)
    return 0


def show_invitation(place: Place, contact: Contact, anew: bool) -> None:
    """Write what `offload up` says of how a deployment is used from other machines, with a join string where it is new.

    The string stands in a file of its own where others could read it in the output, such as that of a batch job.
    """
    from offload.deploy.remote import invite as inviting
    from offload.util.files import write_whole

    if not anew:
        write_line(f"{'elsewhere:':<11} offload invite {place.name} prints a join string")
        return
    lines = inviting.instructions(inviting.invite(place, contact, "offload up", None))
    if not others_read(1):
        write_line("")
        for line in lines:
            write_line(line)
        return
    path = os.path.join(place.path, "join")
    write_whole(path, "".join(f"{line}\n" for line in lines).encode(), durable=True)
    write_line(f"{'elsewhere:':<11} how to use it from another machine is in {path}, as others can read this output")


def others_read(descriptor: int) -> bool:
    """Tell whether other users can read what is written: it goes to a file, and they get there."""
    try:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        state = os.fstat(descriptor)
    except OSError:
        return False  # nothing can be said of it, such as of a terminal elsewhere
    if not stat.S_ISREG(state.st_mode):
        return False
    try:
        ways = [os.stat(folder).st_mode for folder in _above(path)]
    except OSError:
        return True
    return any(state.st_mode & read and all(mode & enter for mode in ways) for read, enter in _OTHERS)


def _above(path: str) -> Iterator[str]:
    while path != "/":
        path = os.path.dirname(path)
        yield path


def _row(grant: dict[str, object]) -> tuple[str, ...]:
    moments = (_moment(moment) if isinstance(moment := grant[key], float) else "" for key in ("created", "expires"))
    return str(grant["grant"]), str(grant["state"]), *moments, str(grant["label"])


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


@click.command(epilog="Example: offload revoke big 3f9a1c")
@click.argument("name")
@click.argument("grant")
@json_option
def revoke(name: str, grant: str, as_json: bool) -> int:
    """Take an invitation back: GRANT is its number, or its label.

    It is refused from now on. Who has joined by it may stay connected to Dask's scheduler for some hours, until the
    certificate ends that was given; `offload down` ends that, too.
    """
    from offload.deploy.remote import invite as inviting
    from offload.registry.contact import Contact

    place = registry().get(name)
    ended = inviting.revoke(place, Contact.read(place.contact), grant)
    if as_json:
        write_json(ended)
    else:
        say(f"the invitation {ended['label']!r} to {name} is revoked")
    return 0
