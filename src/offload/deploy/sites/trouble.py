"""What ``ssh`` says when it does not get through, in plain words, with what to do."""

from __future__ import annotations

import re

from offload.deploy.sites.address import SshAddress
from offload.errors import OffloadError


class UnreachableError(OffloadError):
    """A machine cannot be reached over SSH."""


class LoginNeededError(UnreachableError):
    """A machine wants something that only its user can give: a password, a passphrase, a code."""


# What ssh says: the reason, and what to do. {host} is the host, {hint} what to type for more.
_KNOWN: list[tuple[str, type[UnreachableError], str, str]] = [
    (
        r"REMOTE HOST IDENTIFICATION HAS CHANGED|[Hh]ost key for .* has changed",
        UnreachableError,
        "the host key of {host} has changed: it was set up anew, or somebody stands in between",
        "ask who runs it; when the change is right: ssh-keygen -R {known}, then ssh {host}",
    ),
    (
        r"Host key verification failed|No .* host key is known",
        UnreachableError,
        "the host key of {host} is not known here",
        "log in once and compare it: ssh {host}",
    ),
    (
        r"Could not resolve hostname|Name or service not known",
        UnreachableError,
        "there is no host {host}",
        "check its name, and the entries in ~/.ssh/config",
    ),
    (
        r"[Pp]ermission denied|Too many authentication failures|No more authentication methods",
        LoginNeededError,
        "{host} does not let you in: {said}",
        "is it the right user and key? {hint}",
    ),
    (
        r"Connection refused",
        UnreachableError,
        "nothing listens for SSH at {host}: {said}",
        "is it up, and the port right? {hint}",
    ),
    (
        r"timed out|No route to host|Network is unreachable",
        UnreachableError,
        "{host} does not answer: {said}",
        "is it up, and reached from here, perhaps only through a VPN or a jump host? {hint}",
    ),
    (
        r"UNPROTECTED PRIVATE KEY FILE|bad permissions",
        LoginNeededError,
        "a private key can be read by others, so ssh does not use it",
        "chmod 600 on the key, then again",
    ),
    (
        r"Bad owner or permissions|Bad configuration option|terminating, .* bad configuration",
        UnreachableError,
        "ssh does not accept its configuration: {said}",
        "look at ~/.ssh/config: {hint}",
    ),
    (
        r"open failed|stdio forwarding failed|kex_exchange|Connection closed|Connection reset|Broken pipe",
        UnreachableError,
        "the connection to {host} was closed: {said}",
        "is it overloaded, or its jump host down? {hint}",
    ),
]


def translated(address: SshAddress, said: bytes, hint: str) -> UnreachableError:
    """Return the error that stands for what ``ssh`` has said.

    Parameters
    ----------
    address : SshAddress
        The machine.
    said : bytes
        The standard error of ``ssh``.
    hint : str
        What a user can type to find out more.
    """
    text = said.decode("utf-8", "replace")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith(("@", "debug"))]
    known = address.host if address.port is None else f"[{address.host}]:{address.port}"
    for pattern, kind, reason, advice in _KNOWN:
        line = next((line for line in lines if re.search(pattern, line)), None)
        if line is not None or re.search(pattern, text):
            names = {"host": address.host, "said": line or "", "hint": hint, "known": f"'{known}'"}
            return kind(reason.format(**names), advice.format(**names))
    last = lines[-1] if lines else "ssh said nothing"
    return UnreachableError(f"{address} cannot be reached: {last}", hint)
