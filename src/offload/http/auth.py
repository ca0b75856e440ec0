"""Who is let in: the owner, by the token, and whoever shows the token of a grant that is alive."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import json
import os
import pwd
import socket
import time
from collections.abc import Callable, Sequence

from offload.errors import DamagedError, RefusedError, UsageError

SHORTEST = 16


@dataclasses.dataclass(frozen=True)
class Grant:
    """Leave to use a deployment as its owner does.

    Attributes
    ----------
    id : str
        What it is called by.
    label : str
        Whom or what it is for, in the owner's words.
    digest : str
        SHA-256 of its token; the token itself is with its holder alone.
    created : float
        When it was given (Unix time).
    expires, revoked : float or None
        When it ends, and when the owner has ended it.
    """

    id: str
    label: str
    digest: str
    created: float
    expires: float | None = None
    revoked: float | None = None

    def end(self, now: float) -> str | None:
        """Return how it has ended, or None while it lives."""
        if self.revoked is not None:
            return "was revoked"
        return "has expired" if self.expires is not None and now >= self.expires else None


def digest(token: str) -> str:
    """Return what is kept of a token. It is long and random: nobody finds it by trying."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def owner() -> str:
    """Return whom to ask: the user and the host of this process."""
    try:
        name = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        name = str(os.geteuid())
    return f"{name}@{socket.gethostname()}"


def read_grants(path: str) -> list[Grant]:
    """Return the grants that a file holds, those that have ended, too; none where there is no file.

    Raises
    ------
    DamagedError
        If it cannot be read.
    """
    try:
        with open(path, encoding="utf-8") as file:
            return [Grant(**values) for values in json.load(file)["grants"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, KeyError) as exc:
        raise DamagedError(f"{path} does not tell who was invited: {exc}", "remove it; invite anew") from exc


class Admission:
    """Knows who is let in, now: the file of grants is read again as soon as it has changed.

    Parameters
    ----------
    token : str
        The owner's.
    grants : str, optional
        The file of grants; there may be none yet.
    """

    def __init__(self, token: str, grants: str | None = None) -> None:
        if len(token) < SHORTEST:
            raise UsageError(f"a token needs at least {SHORTEST} characters")
        self._owner = digest(token)
        self._path = grants
        self._seen: tuple[int, int, int] | None = None
        self._grants: Sequence[Grant] = ()

    def who(self, token: str) -> Grant | None:
        """Return the grant of a token; None for the owner's.

        Raises
        ------
        RefusedError
            If it is neither, or the grant has ended; the message says so.
        """
        return self._found(digest(token), lambda kept: kept)

    def cookie(self, token: str) -> str:
        """Return what a browser shows instead of a token. Browsers give cookies to every port of a host."""
        return _cookie(digest(token))

    def who_by_cookie(self, cookie: str) -> Grant | None:
        """Return the grant of a cookie; as `who`."""
        return self._found(cookie, _cookie)

    def _found(self, shown: str, form: Callable[[str], str]) -> Grant | None:
        if _same(shown, form(self._owner)):
            return None
        found = None
        for grant in self._known():  # all of them, however it goes: how long it takes tells nothing
            if _same(shown, form(grant.digest)):
                found = grant
        if found is None:
            raise RefusedError("a token is needed")
        end = found.end(time.time())
        if end is not None:
            raise RefusedError(
                f"the invitation {found.label!r} {end}", f"ask {owner()} for another one, and: offload join"
            )
        return found

    def _known(self) -> Sequence[Grant]:
        if self._path is None:
            return ()
        try:
            state = os.stat(self._path)
        except FileNotFoundError:
            return ()
        mark = state.st_ino, state.st_mtime_ns, state.st_size
        if mark != self._seen:
            self._grants = read_grants(self._path)
            self._seen = mark
        return self._grants


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "surrogateescape"), other.encode())


def _cookie(kept: str) -> str:
    return hmac.new(kept.encode(), b"dashboard", "sha256").hexdigest()
