"""Addresses of machines that are reached over SSH: ``ssh://user@host:port``."""

from __future__ import annotations

import dataclasses
import re

from offload.errors import UsageError

SCHEME = "ssh://"
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+(%[A-Za-z0-9]+)?\]")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@+-]*\$?")


@dataclasses.dataclass(frozen=True)
class SshAddress:
    """Whom to log in as, and where.

    Attributes
    ----------
    host : str
        A host name, an address, or the name of an entry in the user's SSH configuration.
    user : str or None
        None for what the configuration says.
    port : int or None
        None for what the configuration says.
    """

    host: str
    user: str | None = None
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> SshAddress:
        """Return the address that a text stands for.

        Raises
        ------
        UsageError
            If it is none.

        Examples
        --------
        >>> SshAddress.parse("ssh://me@login.example.org:2222")
        SshAddress(host='login.example.org', user='me', port=2222)
        >>> str(SshAddress.parse("login"))
        'ssh://login'
        """
        rest = text.removeprefix(SCHEME).rstrip("/")
        user, at, place = rest.rpartition("@")
        found = re.fullmatch(r"(?P<host>\[[^\]]*\]|[^:]*)(:(?P<port>[0-9]{1,5}))?", place)
        hint = "write it as ssh://user@host, ssh://host:port, or the name of an entry in your SSH configuration"
        if found is None or not _HOST.fullmatch(found["host"]) or (at and not _USER.fullmatch(user)):
            raise UsageError(f"{text!r} is no address of a machine", hint)
        port = int(found["port"]) if found["port"] else None
        if port is not None and not 0 < port < 65536:
            raise UsageError(f"{text!r}: {port} is no port", hint)
        return cls(found["host"].strip("[]"), user or None, port)

    @property
    def words(self) -> list[str]:
        """What `ssh` is told."""
        port = ["-p", str(self.port)] if self.port is not None else []
        user = ["-l", self.user] if self.user is not None else []
        return [*port, *user, "--", self.host]

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{SCHEME}{self.user + '@' if self.user else ''}{host}{f':{self.port}' if self.port else ''}"
