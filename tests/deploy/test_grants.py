"""Grants: given, listed, ended; and who is let in by what a service reads of them."""

from __future__ import annotations

import os
import stat
import subprocess
import time
from pathlib import Path

import pytest

from offload.deploy.security import client_certificates, credentials, grants
from offload.errors import DamagedError, NotFoundError, RefusedError, UsageError
from offload.http import auth
from offload.http.auth import Admission
from offload.registry.deployments import Place, Registry


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Registry(str(tmp_path)).create("hpc", "{}")
    credentials.create(place.keys, ["127.0.0.1"])
    return place


def test_the_owner_and_living_grants_are_let_in(place: Place) -> None:
    services = grants.admission_of(place)
    assert services.who(credentials.token(place.keys)) is None
    for wrong in ("", "x" * 43, credentials.token(place.keys)[:-1], "\udcff"):
        with pytest.raises(RefusedError, match="a token is needed"):
            services.who(wrong)
    one, token = grants.give(place, "one")  # after the service has begun
    two, other = grants.give(place)
    assert services.who(token) == one
    assert services.who(other) == two
    assert two.label == two.id
    assert services.who_by_cookie(services.cookie(token)) == one
    assert services.who_by_cookie(services.cookie(credentials.token(place.keys))) is None
    for wrong in (token, services.cookie("x" * 43), ""):
        with pytest.raises(RefusedError):
            services.who_by_cookie(wrong)


def test_only_digests_are_kept_and_only_the_owner_reads_them(place: Place) -> None:
    _, token = grants.give(place, "one")
    assert stat.S_IMODE(os.stat(place.grants).st_mode) == 0o600
    assert token not in Path(place.grants).read_text()
    assert [name for name in os.listdir(place.path) if "grants" in name] == ["grants.json"]


def test_a_grant_that_was_revoked_is_refused_at_once(place: Place) -> None:
    services = grants.admission_of(place)
    _, token = grants.give(place, "ben")
    kept, other = grants.give(place, "ann")
    assert services.who(token) is not None
    ended = grants.revoke(place, "ben")
    with pytest.raises(RefusedError, match="the invitation 'ben' was revoked") as refused:
        services.who(token)
    assert auth.owner() in (refused.value.hint or "")
    assert services.who(other) == kept
    assert [grants.described(grant)["state"] for grant in grants.grants_of(place)] == ["revoked", "alive"]
    with pytest.raises(NotFoundError, match="there is no invitation"):
        grants.revoke(place, ended.id)


def test_a_grant_expires(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    services = grants.admission_of(place)
    _, token = grants.give(place, "ben", 3600.0)
    assert services.who(token) is not None
    later = time.time() + 3600
    monkeypatch.setattr(time, "time", lambda: later)
    with pytest.raises(RefusedError, match="the invitation 'ben' has expired"):
        services.who(token)


def test_grants_of_the_same_label_are_told_apart(place: Place) -> None:
    first, _ = grants.give(place, "lab")
    second, _ = grants.give(place, "lab")
    with pytest.raises(NotFoundError, match=f"several invitations to hpc are called 'lab': {first.id}, {second.id}"):
        grants.revoke(place, "lab")
    grants.revoke(place, first.id)
    assert grants.revoke(place, "lab").id == second.id


def test_what_cannot_be_given(place: Place) -> None:
    for label, seconds in (("a\nb", None), ("x" * 61, None), ("x", 0.0)):
        with pytest.raises(UsageError):
            grants.give(place, label, seconds)
    assert grants.grants_of(place) == []


def test_ended_grants_are_forgotten_in_the_end(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grants, "ENDED_KEPT", 2)
    ids = [grants.revoke(place, grants.give(place)[0].id).id for _ in range(4)]
    assert [grant.id for grant in grants.grants_of(place)] == ids[2:]


def test_a_damaged_file_lets_nobody_in_but_the_owner(place: Place) -> None:
    _, token = grants.give(place)
    Path(place.grants).write_text("{")
    services = grants.admission_of(place)
    assert services.who(credentials.token(place.keys)) is None
    with pytest.raises(DamagedError):
        services.who(token)


def test_short_tokens_are_refused() -> None:
    with pytest.raises(UsageError, match="at least 16"):
        Admission("short")


def test_a_certificate_is_for_clients_only_and_ends_with_the_grant(place: Place, tmp_path: Path) -> None:
    key, asked = client_certificates.ask()
    now = time.time()
    certificate, end = client_certificates.sign(place.keys, asked, "ben", now + 60)
    assert end == now + 60
    client_certificates.keep(place.keys, key, certificate)
    own = credentials.certificate(place.keys, credentials.DASK).certificate
    for purpose, code in (("sslclient", 0), ("sslserver", 2)):
        words = ["openssl", "verify", "-purpose", purpose, "-CAfile", credentials.authority(place.keys), own]
        assert subprocess.run(words, capture_output=True, check=False).returncode == code
    assert not client_certificates.is_due(place.keys)
    _, end = client_certificates.sign(place.keys, asked, "ben", None)
    assert end <= time.time() + client_certificates.LIFETIME
    with pytest.raises(UsageError, match="no request for a certificate"):
        client_certificates.sign(place.keys, certificate, "ben", None)


def test_a_certificate_is_due_at_half_its_time(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    key, asked = client_certificates.ask()
    monkeypatch.setattr(client_certificates, "LIFETIME", 1.0)
    client_certificates.keep(place.keys, key, client_certificates.sign(place.keys, asked, "ben", None)[0])
    deadline = time.monotonic() + 20
    while not client_certificates.is_due(place.keys):
        assert time.monotonic() < deadline
        time.sleep(0.05)
