"""``offload install-service``."""

from __future__ import annotations

import os
import sys

import click

from offload.cli.output import say
from offload.cli.tables import write_line
from offload.errors import UsageError

EPILOG = """\b
Examples:
    offload install-service
    offload install-service big -- --workers 16 --memory-limit 4GB
    offload install-service big --print
    offload install-service big --remove
"""


@click.command("install-service", epilog=EPILOG)
@click.argument("name", default="local", metavar="[NAME]")
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[-- OPTION...]")
@click.option("--print", "only_print", is_flag=True, help="Only show the unit.")
@click.option("--remove", "take_away", is_flag=True, help="Take it away again.")
def install_service(name: str, options: tuple[str, ...], only_print: bool, take_away: bool) -> int:
    """Let systemd keep a deployment up, from log-in or boot on, and start it again when it dies.

    Writes a unit for your own systemd, which runs `offload up --foreground` of this installation; what follows `--` are
    more options of `offload up`. Without any, one that is up keeps those that it has. Nothing is started: the commands
    that do so are shown.
    """
    from offload.deploy import systemd

    if take_away:
        if only_print or options:
            raise UsageError("--remove goes alone", f"offload install-service {name} --remove")
        path = systemd.remove(name)
        say(f"removed {path}; what runs goes on until:")
        write_line(f"systemctl --user stop {systemd.unit_name(name)}; systemctl --user daemon-reload")
        return 0
    options = options or _present(name)
    _check(name, options)
    known = {key: value for key, value in os.environ.items() if key in ("OFFLOAD_HOME", "XDG_DATA_HOME")}
    text = systemd.unit(
        name, _program(), options, {key: os.path.abspath(value) for key, value in known.items() if value}
    )
    if only_print:
        write_line(text.rstrip("\n"))
        return 0
    path = systemd.install(name, text)
    say(f"wrote {path}; what comes next:")
    write_line("systemctl --user daemon-reload")
    write_line(f"systemctl --user enable --now {systemd.unit_name(name)}")
    write_line("loginctl enable-linger   # to have it from boot on, and after you have logged out")
    if not os.path.isdir("/run/systemd/system"):
        say("this machine does not run systemd: the unit is of no use here")
    return 0


def _present(name: str) -> tuple[str, ...]:
    """Return the options of a deployment that there is, and say which."""
    from offload.deploy.config.spec import spec_of
    from offload.deploy.systemd import options_of
    from offload.registry.deployments import Registry
    from offload.storage.home import Home

    registry = Registry(Home().path)
    if name not in registry.names():
        return ()
    found = options_of(spec_of(registry.place(name)))
    if found is None:
        say(f"the options of {name} are not taken over: it has groups, or is on other machines; give them after --")
    elif found:
        from offload.commands.request import quote

        say(f"with the options that {name} has: {quote(found)}")
    return tuple(found or ())


def _check(name: str, options: tuple[str, ...]) -> None:
    """Refuse now what `offload up` would refuse when systemd starts it."""
    from offload.cli.deployments.up import up
    from offload.cli.deployments.up_options import chosen
    from offload.deploy.config.resolve import resolve
    from offload.registry.deployments import Registry, check_name
    from offload.storage.home import Home

    check_name(name)
    with up.make_context("offload up", [*options]) as context:
        for given in ("name", "foreground", "interactive", "dry_run", "as_json"):
            if context.params[given]:
                raise UsageError(f"--{given.replace('_', '-').replace('as-', '')} is not for here", "leave it out")
        values = chosen(context.params)
        for key in ("name", "no_nanny", "interactive"):
            values.pop(key, None)
        resolve(Registry(Home().path), values.pop("target"), name, values)


def _program() -> list[str]:
    """Return how this very installation is started, whatever the environment is then."""
    own = os.path.abspath(sys.argv[0])
    return [own] if os.path.basename(own) == "offload" else [sys.executable, "-m", "offload"]
