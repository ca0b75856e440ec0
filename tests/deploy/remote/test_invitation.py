"""The join string: what it holds, and what is said of one that is not as it was given out."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import ssl
from base64 import urlsafe_b64decode, urlsafe_b64encode
from pathlib import Path

import pytest

from offload.deploy.security import pki
from offload.deploy.security.invitation import PREFIX, Invitation
from offload.errors import UsageError


@pytest.fixture(scope="module")
def invitation(tmp_path_factory: pytest.TempPathFactory) -> Invitation:
    paths = pki.create_authority(str(tmp_path_factory.mktemp("keys")))
    authority = Path(paths.certificate).read_text()
    addresses = ("https://10.0.0.5:60001", "https://127.0.0.1:60001")
    return Invitation("hpc", addresses, authority, "a-token-of-some-length", "3f9a1c", "me@node7", 2e9)


def test_it_is_one_line_that_says_all(invitation: Invitation) -> None:
    text = invitation.text()
    assert text.isascii()
    assert text.replace("-", "").replace("_", "").replace(".", "").isalnum()
    assert len(text) < 1500
    assert Invitation.parse(text) == invitation


def test_it_is_found_among_other_words_and_over_broken_lines(invitation: Invitation) -> None:
    text = invitation.text()
    broken = "\n".join(text[start : start + 76] for start in range(0, len(text), 76))
    for around in (
        f"  {text}\n",
        f"offload join <<'END'\n{text}\nEND\n",
        f"> {text[:40]}\n{text[40:]}\n-- \nme",
        broken,
    ):
        assert Invitation.parse(around) == invitation


def test_one_that_is_cut_anywhere_is_told(invitation: Invitation) -> None:
    text = invitation.text()
    for end in range(len(PREFIX), len(text)):
        with pytest.raises(UsageError, match="the join string is cut"):
            Invitation.parse(text[:end])
    with pytest.raises(UsageError, match="there is no join string"):
        Invitation.parse(text[: len(PREFIX) - 1])
    with pytest.raises(UsageError, match="there is no join string"):
        Invitation.parse("")


def test_one_that_is_mistyped_anywhere_is_told(invitation: Invitation) -> None:
    text = invitation.text()
    for place in range(len(PREFIX), len(text)):
        for other in "Z", "_", "%":
            wrong = text[:place] + other + text[place + 1 :]
            if wrong != text:
                with pytest.raises(UsageError, match=r"the join string is (cut|mistyped)"):
                    Invitation.parse(wrong)
    with pytest.raises(UsageError, match="mistyped"):
        Invitation.parse(text + "x")


def test_another_version_and_other_content(invitation: Invitation) -> None:
    text = invitation.text()
    with pytest.raises(UsageError, match="another version of offload"):
        Invitation.parse(text.replace(PREFIX, "offload-join-2."))
    whole = bytearray(urlsafe_b64decode(text.removeprefix(PREFIX) + "=="))
    whole[8] ^= 1
    with pytest.raises(UsageError, match="its checksum does not fit"):
        Invitation.parse(PREFIX + urlsafe_b64encode(whole).rstrip(b"=").decode())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("addresses", [1]),
        ("addresses", []),
        ("addresses", 5),
        ("addresses", ["https://h:1@evil/"]),
        ("addresses", ["http://10.0.0.5:60001"]),
        ("addresses", ["file:///etc/passwd"]),
        ("addresses", ["https://h:60001/path"]),
        ("expires", "x"),
        ("expires", float("nan")),
        ("expires", True),
        ("owner", [1]),
        ("owner", "me\x1b[31m"),
        ("token", None),
        ("grant", {}),
        ("name", 5),
        ("more", "x"),
    ],
)
def test_fields_that_somebody_made_up(invitation: Invitation, field: str, value: object) -> None:
    with pytest.raises(UsageError, match="the join string makes no sense"):
        Invitation.parse(forged(invitation, {field: value}))


def forged(invitation: Invitation, changes: dict[str, object]) -> str:
    """Return a join string whose checksum is right, with other fields."""
    values = {**dataclasses.asdict(invitation), **changes}
    certificate = ssl.PEM_cert_to_DER_cert(values.pop("authority"))
    return joined(json.dumps(values).encode() + b"\n" + certificate)


def joined(data: bytes) -> str:
    check = hashlib.sha256(PREFIX.encode() + data).digest()[:6]
    return PREFIX + urlsafe_b64encode(len(data).to_bytes(2, "big") + check + data).rstrip(b"=").decode()


def test_what_is_no_object_and_a_version_of_many_digits(invitation: Invitation) -> None:
    assert Invitation.parse(forged(invitation, {})) == invitation
    for data in (b"[]\n", b"null\n", b"5\n", b"[" * 60_000, b'{"addresses": null}\n'):
        with pytest.raises(UsageError, match="the join string makes no sense"):
            Invitation.parse(joined(data))
    with pytest.raises(UsageError, match="another version of offload"):
        Invitation.parse(f"offload-join-{'9' * 5000}.AAAA")
