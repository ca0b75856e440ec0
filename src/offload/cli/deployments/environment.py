"""``offload environment``: the software of deployments on other machines."""

from __future__ import annotations

import contextlib
import dataclasses
import os

import click

from offload.cli.arguments import json_option
from offload.cli.output import say
from offload.cli.tables import write_json, write_line
from offload.errors import UsageError
from offload.notices import counted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from offload.hosts.base import Site

EPILOG = """\b
Examples:
    offload environment diff ssh://me@login.example.org
    offload environment build ssh://me@login.example.org --environment conda:analysis

\b
What CHOICE may be:
    sync            an environment like the one here, made from what is there, an index, or wheels from here
    check           the Python that is found there, if offload and what it requires have the same versions
    conda:NAME      conda's environment of that name there
    python:/path    that Python there
    container:IMAGE the Python of that image, which podman or docker has there

sync:/path and check:/path name the Python there, where it is not found by itself.
"""

BUILD_EPILOG = """\b
Examples:
    offload environment build ssh://me@login.example.org
    offload environment build ssh://login --only numpy --only mypackage
    offload environment build ssh://login --environment conda:analysis
    $(offload environment build ssh://login --json | jq -r .python)
"""

DIFF_EPILOG = """\b
Examples:
    offload environment diff ssh://me@login.example.org
    offload environment diff ssh://login --environment python:~/venv/bin/python
"""

_choice = click.option(
    "--environment", "choice", metavar="CHOICE", help="sync, check, conda:NAME, python:/path, container:IMAGE."
)
_place = click.option(
    "--directory", "home", default="", metavar="DIR", help="There, for environments. Default: in offload's home there."
)


@click.group(epilog=EPILOG)
def environment() -> None:
    """Bring the software that is installed here to another machine, or compare it with what is there.

    `offload up ssh://...` does this by itself.
    """


@environment.command(epilog=BUILD_EPILOG)
@click.argument("target", metavar="TARGET")
@_choice
@_place
@click.option(
    "--only", multiple=True, metavar="NAME", help="With sync: only this and what it requires. May be repeated."
)
@json_option
def build(target: str, choice: str | None, home: str, only: tuple[str, ...], as_json: bool) -> None:
    """Make the environment on a machine, unless it is there, and print the path of its Python.

    TARGET is `ssh://[user@]host[:port]`, or `here`. Without --environment it is `sync`: the same versions as here, or
    those of the project's uv.lock, pylock.toml or requirements.txt. Only what is missing there is sent, once.
    """
    from offload.environments.prepare import prepare

    with opened(target) as site:
        done = prepare(site, choice or "sync", home, say, only=only)
    if as_json:
        write_json({"target": site.name, **dataclasses.asdict(done)})
    else:
        write_line(done.python)


@environment.command(epilog=DIFF_EPILOG)
@click.argument("target", metavar="TARGET")
@_choice
@_place
@json_option
def diff(target: str, choice: str | None, home: str, as_json: bool) -> int:
    """List what is installed here and differs on a machine; the exit code is 1 if anything does.

    TARGET is `ssh://[user@]host[:port]`, or `here`. Without --environment it is `check`: the Python found there.
    """
    from offload.environments.compare import differences

    with opened(target) as site:
        there, found = differences(site, choice or "check", home)
    if as_json:
        write_json({"target": site.name, "python": there, "differences": found})
    else:
        for line in found:
            write_line(line)
        differ = counted(len(found), "distribution differs", "distributions differ")
        say(f"{there}: {differ if found else 'nothing differs'}")
    return 1 if found else 0


@contextlib.contextmanager
def opened(target: str) -> Iterator[Site]:
    """Give the machine that a target names, for the time of a block.

    Raises
    ------
    UsageError
        If it names none.
    """
    from offload.hosts.local import Here

    if target == "here":
        with Here() as here:
            yield here
        return
    from offload.hosts.address import SCHEME, SshAddress
    from offload.hosts.ssh import Ssh

    if not target.startswith(SCHEME):
        raise UsageError(f"{target!r} is no machine", f"write it as {SCHEME}user@host, or as here")
    import tempfile

    address = SshAddress.parse(target)
    with tempfile.TemporaryDirectory(prefix="offload-") as folder, Ssh(address, os.path.join(folder, "ssh")) as site:
        site.open()
        yield site
