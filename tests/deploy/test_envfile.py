"""The file for scripts: written, kept right, and gone when the deployment is."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from offload.compute.contact import Contact
from offload.compute.places import Place, Registry
from offload.deploy import credentials, envfile
from offload.deploy.spec import Spec
from offload.errors import NotWritableError

CONTACT = Contact("running", {"pid": 1, "url": "https://127.0.0.1:8787"}, "tls://127.0.0.1:8786")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Registry(str(tmp_path / "home")).create("hpc", Spec(name="hpc").to_json())
    credentials.create(place.keys, ["127.0.0.1"])
    return place


def test_it_follows_the_deployment(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "hpc.env"
    envfile.begin(place, CONTACT, str(path))
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    text = path.read_text()
    assert "export OFFLOAD_DEPLOYMENT=hpc\n" in text
    assert credentials.token(place.keys) not in text
    envfile.refresh(place, Contact("running", CONTACT.head, "tls://127.0.0.1:9999"))
    assert "tls://127.0.0.1:9999" in path.read_text()
    envfile.end(place)
    assert not path.exists()
    envfile.refresh(place, CONTACT)
    envfile.end(place)
    assert not path.exists()


def test_another_file_takes_its_place(place: Place, tmp_path: Path) -> None:
    envfile.begin(place, CONTACT, str(tmp_path / "one"))
    envfile.begin(place, CONTACT, str(tmp_path / "two"))
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["two"]


def test_what_somebody_else_has_written_stays(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "hpc.env"
    envfile.begin(place, CONTACT, str(path))
    path.write_text("mine\n")
    envfile.end(place)
    assert path.read_text() == "mine\n"


def test_a_file_that_cannot_be_written_is_told(place: Place, tmp_path: Path) -> None:
    with pytest.raises(NotWritableError, match="cannot be written"):
        envfile.begin(place, CONTACT, str(tmp_path / "nowhere/hpc.env"))
    envfile.end(place)
