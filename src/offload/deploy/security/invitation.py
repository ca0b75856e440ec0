"""The join string: a line that lets somebody use a deployment; its checksum finds what was cut or mistyped."""

from __future__ import annotations

import binascii
import dataclasses
import hashlib
import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

from offload.errors import OffloadError, UsageError
from offload.registry.deployments import check_name

VERSION = 1
PREFIX = f"offload-join-{VERSION}."
_ANY = re.compile(r"offload-join-(\d+)\.")
_ADDRESS = re.compile(r"https://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}")
_NEVER = 1e11  # seconds after 1970: later than any calendar goes
_CHARACTERS = re.compile(r"[A-Za-z0-9_-]*")
_LENGTH, _CHECK = 2, 6
_AGAIN = "copy all of it again, from offload-join- to its end"


@dataclasses.dataclass(frozen=True)
class Invitation:
    """What a join string says.

    Attributes
    ----------
    name : str
        The deployment, as its owner calls it.
    addresses : tuple of str
        Where its head may be reached, the best one first.
    authority : str
        The certificate that all others are checked against, as PEM.
    token : str
        What lets in who shows it.
    grant : str
        What the owner knows it by.
    owner : str
        Whom to ask, as ``user@host``.
    expires : float or None
        When it ends (Unix time).
    """

    name: str
    addresses: tuple[str, ...]
    authority: str
    token: str
    grant: str
    owner: str
    expires: float | None = None

    def text(self) -> str:
        """Return the join string."""
        import ssl

        values = dataclasses.asdict(self)
        certificate = ssl.PEM_cert_to_DER_cert(values.pop("authority"))
        data = json.dumps(values, separators=(",", ":")).encode() + b"\n" + certificate
        whole = len(data).to_bytes(_LENGTH, "big") + _checksum(data) + data
        return PREFIX + _encoded(whole)

    @classmethod
    def parse(cls, text: str) -> Invitation:
        """Return what a text says that holds a join string, perhaps broken into lines, perhaps with other words.

        Raises
        ------
        UsageError
            If it holds none, or one that is not as it was given out.
        """
        found = _ANY.search(text)
        if found is None:
            raise UsageError("there is no join string in it", "it begins with offload-join-; offload invite prints one")
        if found[1] != str(VERSION):
            raise UsageError("the join string was made by another version of offload", "use the same version here")
        data = _content(text[found.end() :])
        import ssl

        try:
            told, _, certificate = data.partition(b"\n")
            values = json.loads(told)
            values["addresses"] = tuple(values["addresses"])
            check_name(values["name"])
            _check_fields(values)
            return cls(authority=ssl.DER_cert_to_PEM_cert(certificate), **values)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OffloadError) as exc:
            raise UsageError(f"the join string makes no sense: {exc}", "ask for another one") from exc


def _check_fields(values: dict[str, Any]) -> None:
    """Raise ValueError unless the fields are what they may be: whoever gave the string may have made it up."""
    texts = [*values["addresses"], *(values[name] for name in ("token", "grant", "owner"))]
    if not all(isinstance(text, str) and text.isascii() and text.isprintable() for text in texts):
        raise ValueError("a field is no plain text")
    if not values["addresses"] or not all(map(_ADDRESS.fullmatch, values["addresses"])):
        raise ValueError("an address is not https://HOST:PORT")
    expires = values.get("expires")
    if not (expires is None or (type(expires) in (int, float) and 0 < expires < _NEVER)):
        raise ValueError("its end is no time")


def _content(rest: str) -> bytes:
    """Return the bytes of a join string without what follows it."""
    words = rest.split()
    if not words or len(words[0]) < 4:
        raise UsageError("the join string is cut: it ends where it should begin", _AGAIN)
    wanted = _characters(words[0])
    text = ""
    for word in words:
        if len(text) >= wanted:
            break
        text += word
    odd = _CHARACTERS.sub("", text)
    if odd:
        raise UsageError(f"the join string is mistyped: it holds {odd[0]!r}", _AGAIN)
    if len(text) < wanted:
        raise UsageError(f"the join string is cut: {len(text)} of {wanted} characters are there", _AGAIN)
    whole = _decoded(text)
    data = whole[_LENGTH + _CHECK :]
    if len(text) != wanted or _encoded(whole) != text or _checksum(data) != whole[_LENGTH : _LENGTH + _CHECK]:
        raise UsageError("the join string is mistyped: its checksum does not fit", _AGAIN)
    return data


def _characters(first: str) -> int:
    """Return how many characters there should be, by what the first ones say."""
    if not _CHARACTERS.fullmatch(first[:4]):
        return 4
    size = _LENGTH + _CHECK + int.from_bytes(_decoded(first[:4])[:_LENGTH], "big")
    return (4 * size + 2) // 3


def _encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _decoded(text: str) -> bytes:
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        return b""


def _checksum(data: bytes) -> bytes:
    return hashlib.sha256(PREFIX.encode() + data).digest()[:_CHECK]
