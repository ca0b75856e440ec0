"""The file for scripts: written, kept right, and gone when the deployment is."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from offload.deploy import envfile
from offload.deploy.config.spec import Spec
from offload.deploy.security import credentials
from offload.errors import NotWritableError
from offload.registry.contact import Contact
from offload.registry.deployments import Place, Registry

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


def test_what_else_stands_in_the_file_stays(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "hpc.env"
    path.write_text("export MINE=1")
    path.chmod(0o640)
    envfile.begin(place, CONTACT, str(path))
    assert path.read_text().startswith("export MINE=1\n# >>> ")
    path.write_text(path.read_text() + "export AFTER=2\n")
    envfile.end(place)
    assert path.read_text() == "export MINE=1\nexport AFTER=2\n"
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o640


def test_several_deployments_in_one_file(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "link.env"
    path.symlink_to(tmp_path / "all.env")
    vault = Registry(str(tmp_path / "home")).create("vault", Spec(name="vault", storage_only=True).to_json())
    stored = Contact("running", CONTACT.head, storage="https://127.0.0.1:9000")
    envfile.begin(vault, stored, str(path))
    envfile.begin(place, CONTACT, str(path))
    script = f'. {path}; echo "$OFFLOAD_BUFFERS $OFFLOAD_DATABASE $OFFLOAD_DEPLOYMENT"'
    clean = {key: value for key, value in os.environ.items() if not key.startswith("OFFLOAD_")}

    def sourced() -> str:
        return subprocess.run(["sh", "-c", script], capture_output=True, text=True, env=clean, check=True).stdout

    assert sourced() == "offload://vault offload://vault hpc\n"
    envfile.refresh(vault, stored)
    assert path.read_text().count(">>>") == 2
    envfile.end(place)
    assert sourced() == "offload://vault offload://vault \n"
    envfile.end(vault)
    assert not path.exists() and path.is_symlink()


WRITER = """
import sys
from offload.registry.contact import Contact
from offload.registry.deployments import Place
from offload.deploy import envfile
place, path = Place(sys.argv[1]), sys.argv[2]
contact = Contact("running", {"pid": 1, "url": "https://127.0.0.1:8787"}, "tls://127.0.0.1:8786")
for _ in range(20):
    envfile.begin(place, contact, path)
    envfile.end(place)
envfile.begin(place, contact, path)
"""


def test_those_that_write_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    registry, path = Registry(str(tmp_path / "home")), tmp_path / "all.env"
    places = [registry.create(f"d{n}", Spec(name=f"d{n}").to_json()) for n in range(4)]
    words = [sys.executable, "-c", WRITER]
    writers = [subprocess.Popen([*words, place.path, str(path)]) for place in places]
    assert [writer.wait(120) for writer in writers] == [0] * 4
    assert sorted(line for line in path.read_text().splitlines() if "OFFLOAD_DEPLOYMENT" in line) == [
        f"export OFFLOAD_DEPLOYMENT=d{n}" for n in range(4)
    ]
    assert sorted(os.listdir(tmp_path)) == ["all.env", "home"]


def test_a_file_that_cannot_be_written_is_told(place: Place, tmp_path: Path) -> None:
    with pytest.raises(NotWritableError, match="cannot be written"):
        envfile.begin(place, CONTACT, str(tmp_path / "nowhere/hpc.env"))
    envfile.end(place)
