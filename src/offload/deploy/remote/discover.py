"""Deployments that are found on another machine, whether they are known here or not."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import tempfile
from collections.abc import Iterator
from typing import Any

from offload.deploy.lifecycle.common import Say, link_of
from offload.deploy.lifecycle.local import down as bring_down
from offload.deploy.remote import replica, rpc
from offload.errors import NotFoundError, OffloadError, UsageError
from offload.hosts.address import SshAddress
from offload.hosts.base import Site
from offload.hosts.ssh import Ssh
from offload.registry.deployments import Place, Registry

_BEGIN, _END = "@@offload begin@@", "@@offload end@@"

# Names the deployments there, and the first Python that runs offload: that of a head, or of an environment.
_SCRIPT = """
case ${OFFLOAD_HOME:-} in
'') case ${XDG_DATA_HOME:-} in /*) home=$XDG_DATA_HOME/offload ;; *) home=$HOME/.local/share/offload ;; esac
    if [ "$(uname -s)" = Darwin ]; then home="$HOME/Library/Application Support/offload"; fi ;;
'~/'*) home=$HOME/${OFFLOAD_HOME#??} ;;
*) home=$OFFLOAD_HOME ;;
esac
echo
echo '@@offload begin@@'
try() {
    [ -x "$1" ] && "$1" -c 'import offload.deploy.remote.agent' </dev/null >/dev/null 2>&1 || return 0
    echo "python $1"
    echo '@@offload end@@'
    exit 0
}
any=
for spec in "$home"/deployments/*/spec.json; do
    [ -f "$spec" ] || continue
    any=yes
    directory=${spec%/spec.json}
    echo "name ${directory##*/}"
done
if [ -n "$any" ]; then
    if [ -n "$chosen" ]; then try "$chosen"; fi
    for contact in "$home"/deployments/*/contact.json; do
        pid=$(sed -n 's/.*"pid": *\\([0-9][0-9]*\\).*/\\1/p' "$contact" 2>/dev/null | head -n 1)
        if [ -n "$pid" ]; then try "$(ps -o args= -p "$pid" 2>/dev/null | sed 's/ -m offload.*//')"; fi
    done
    for python in "$home"/deployments/*/container/python; do try "$python"; done
    for python in $(ls -dt "$home"/environments/*/bin/python 2>/dev/null); do try "$python"; done
    for name in python3 python; do try "$(command -v $name)"; done
fi
echo '@@offload end@@'
"""


@contextlib.contextmanager
def reached(registry: Registry, target: str) -> Iterator[Ssh]:
    """Give a machine, connected, for a block; a connection of a deployment there is shared where there is one.

    Raises
    ------
    UnreachableError
        If it is not reached.
    """
    address = SshAddress.parse(target)
    for place in _known(registry, str(address)):
        link = link_of(place)
        site = None if link is None or not link.runtime else replica.site_of(link, ask=True)
        if site is not None and site.is_open():
            yield site  # others keep it
            return
    with tempfile.TemporaryDirectory(prefix="offload-") as folder, Ssh(address, os.path.join(folder, "ssh")) as site:
        site.open()
        yield site


def _known(registry: Registry, site: str) -> list[Place]:
    """Return the places here of one's own deployments on a machine; those that were joined may be somebody else's."""
    links = [(place, link_of(place)) for place in map(registry.place, registry.names())]
    return [place for place, link in links if link is not None and link.site == site and not link.grant]


def look(site: Site, python: str = "") -> tuple[list[str], str]:
    """Return the names of the deployments on a machine, and a Python there that runs offload, "" if none is found.

    Parameters
    ----------
    site : Site
        The machine, connected.
    python : str
        The one to use if it does.
    """
    script = f"chosen={shlex.quote(python)}\n{_SCRIPT}"
    done = site.run(["sh", "-s"], script.encode())
    _, begin, rest = done.text.partition(_BEGIN)
    inner, end, _ = rest.partition(_END)
    if not begin or not end:
        raise OffloadError(
            f"{site.name} was asked for its deployments, and answered something else: {done.said}",
            "do its start-up files (.bashrc, .cshrc, config.fish) end the shell, or start another one?",
        )
    found = re.findall(r"^(name|python) (.+)$", inner, re.MULTILINE)
    pythons = [value for key, value in found if key == "python"]
    return [value for key, value in found if key == "name"], pythons[0] if pythons else ""


def listing(registry: Registry, site: Site, python: str = "") -> list[dict[str, Any]]:
    """Return the deployments on a machine, each with ``name``, ``state``, ``scheduler`` and ``known``.

    Parameters
    ----------
    registry : Registry
        Of this machine: `known` tells whether it can be used from here.
    site : Site
        The machine, connected.
    python : str
        The Python there that has offload; by default one is looked for.
    """
    names, found = look(site, python)
    if not names:
        return []
    known = {place.name for place in _known(registry, site.name)}
    told = rpc.ask(site, _python(site, found), "list", {})["deployments"]
    return [{key: one[key] for key in ("name", "state", "scheduler")} | {"known": one["name"] in known} for one in told]


def down(registry: Registry, site: Site, name: str | None, say: Say, python: str = "") -> str:
    """Bring a deployment on a machine down, whoever has started it, and return its name.

    Parameters
    ----------
    registry : Registry
        Of this machine: a deployment that is known here is forgotten here, too.
    site : Site
        The machine, connected.
    name : str or None
        Its name there; None for the only one.
    say : callable
        Is told each step.
    python : str
        The Python there that has offload; by default one is looked for.

    Raises
    ------
    NotFoundError
        If there is none of this name.
    UsageError
        If none was named, and there are several.
    """
    names, found = look(site, python)
    there = f"there are: {', '.join(names)}" if names else f"offload list {site.name}"
    if name is None:
        if len(names) > 1:
            raise UsageError(f"there are several deployments on {site.name}", f"name one, or --all; {there}")
        if not names:
            raise NotFoundError(f"there are no deployments on {site.name}", f"offload up {site.name} starts one")
        name = names[0]
    if name not in names:
        raise NotFoundError(f"there is no deployment {name} on {site.name}", there)
    for place in _known(registry, site.name):
        if place.name == name:
            bring_down(registry, place, say)
            return name
    rpc.ask(site, _python(site, found), "down", {"name": name}, say)
    return name


def _python(site: Site, found: str) -> str:
    if not found:
        raise OffloadError(
            f"there are deployments on {site.name}, but no Python that runs offload was found there",
            "name it: --python /path/of/python",
        )
    return found
