"""From what a user says of a deployment on another machine to its link."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from offload.deploy.config.link import ROUTES, TUNNEL, Link
from offload.environments.choice import is_image, parse_choice
from offload.errors import UsageError
from offload.hosts.address import SCHEME, SshAddress
from offload.registry.deployments import check_name
from offload.util.quantities import parse_ports

OF_LINK = ("route", "environment", "local_ports")
"""The options that say how a deployment is reached; all others are about the deployment itself."""

NOT_THERE = ("scheduler", "tls_ca", "tls_cert", "tls_key", "i_know")
_FOR_OTHERS = ("host", "advertise", "interface")


def is_site(text: str) -> bool:
    """Tell whether a target is a machine that is reached over SSH."""
    return text.startswith(SCHEME)


def default_name(site: str) -> str:
    """Return what a deployment is called by default: as the machine is.

    Examples
    --------
    >>> default_name("ssh://me@Login.example.org"), default_name("ssh://10.0.0.5:2222")
    ('login', '10-0-0-5')
    """
    host = SshAddress.parse(site).host.lower()
    plain = host if re.fullmatch(r"[0-9.:]+", host) else host.partition(".")[0]
    return check_name(re.sub(r"[^a-z0-9_-]", "-", plain).strip("-_") or "remote")


def link_of(site: str, values: dict[str, Any]) -> Link:
    """Return the link to a deployment on a site.

    Parameters
    ----------
    site : str
        Such as ``ssh://me@login``.
    values : dict
        What was asked for, in the form in which it was.

    Raises
    ------
    UsageError
        If that does not fit together.
    """
    wrong = [f"--{key.replace('_', '-')}" for key in NOT_THERE if key in values]
    if wrong:
        raise UsageError(f"{', '.join(wrong)} cannot be given for {site}", "offload up --help")
    address = SshAddress.parse(site)
    route = values.get("route", TUNNEL)
    if route not in ROUTES:
        raise UsageError(f"{route!r} is no route", f"there are: {', '.join(ROUTES)}")
    if "port" in values and not isinstance(values["port"], int):
        raise UsageError(f"port is {values['port']!r}, which is no whole number")
    environment = _environment(values.get("environment", "sync"))
    choices = {key: value for key, value in values.items() if key not in OF_LINK}
    for key in ("buffers", "database", "scratch"):
        if key in choices and not choices[key].startswith(("/", "~", "offload://")):
            raise UsageError(f"{key} is {choices[key]!r}, which may be anywhere on {site}", "give an absolute path")
    if "mounts" in choices and not is_image(environment):
        raise UsageError("--mount is for what runs in a container", "add --environment container:IMAGE")
    for path in choices.get("mounts", ()):
        if not path.startswith(("/", "~/")):
            raise UsageError(f"{path!r} may be anywhere on {site}", "give --mount an absolute path")
    local = values.get("local_ports")
    return Link(
        site=str(address),
        route=route,
        environment=environment,
        local_ports=None if local is None else parse_ports(local),
        choices=choices,
    )


def _environment(text: str) -> str:
    """Return the choice of an environment; a plain path is that of a Python."""
    kind, path, _ = parse_choice(text)
    return f"python:{path}" if kind == "python" else text


def differences(kept: Link, asked: Link) -> list[tuple[str, Any, Any]]:
    """Return in what a deployment that is up differs from what is asked for: attribute, what it has, what was asked."""
    found = [(key, getattr(kept, key), getattr(asked, key)) for key in ("site", *OF_LINK)]
    found += [(key, kept.choices.get(key), value) for key, value in asked.choices.items()]
    return differing(found)


def differing(choices: Iterable[tuple[str, Any, Any]]) -> list[tuple[str, Any, Any]]:
    """Return the choices that differ, each with what there is and what was asked for; of tables what differs in them.

    Examples
    --------
    >>> differing([("groups", {"gpu": {"count": 1, "queue": "a"}}, {"gpu": {"count": 2, "queue": "a"}})])
    [('groups.gpu.count', 1, 2)]
    """
    found = []
    for key, has, wanted in choices:
        if isinstance(has, dict) and isinstance(wanted, dict):
            inner = [(f"{key}.{name}", has.get(name), wanted.get(name)) for name in dict.fromkeys([*has, *wanted])]
            found += differing(inner)
        elif has != wanted:
            found.append((key, has, wanted))
    return found
