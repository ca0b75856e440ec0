"""Storage beside the workers, and storage alone: served, announced, started again, ended."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import offload as api
from offload.compute.contact import Contact
from offload.compute.places import Place, Registry
from offload.deploy import credentials, launch
from offload.deploy.processes import family, wait_until_gone
from offload.deploy.spec import Spec
from offload.errors import OffloadError
from offload.identity.checksums import checksum
from offload.storage.remote.client import Client
from offload.storage.remote.database import HttpDatabase
from offload.storage.remote.store import HttpStore
from tests.conftest import Offload
from tests.deploy.test_local import contact_of, eventually

SECONDS = 60.0


def storage_client(place: Place) -> Client:
    url = contact_of(place).storage
    assert url is not None
    return Client(url, credentials.token(place.keys), credentials.authority(place.keys))


def test_contact_files_without_storage_are_read(tmp_path: Path) -> None:
    old = {"version": 1, "state": "running", "head": {"pid": 1}, "scheduler": "tls://127.0.0.1:8786", "jobs": None}
    (tmp_path / "contact.json").write_text(json.dumps(old))
    found = Contact.read(str(tmp_path / "contact.json"))
    assert found is not None
    assert (found.scheduler, found.storage) == ("tls://127.0.0.1:8786", None)


@api.task
def add(a: int, b: int) -> int:
    return a + b


@pytest.mark.real
def test_storage_alone(offload: Offload, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert add(1, 2) == 3
    up = offload("up", "--name", "kept", "--storage-only", "--json", timeout=SECONDS)
    assert up.returncode == 0, up.stderr
    told = json.loads(up.stdout)
    assert told["scheduler"] is None
    registry = Registry(str(home))
    place = registry.get("kept")
    try:
        members = family(contact_of(place).head["pid"])
        assert len(members) == 2  # the head and the storage service
        with HttpStore(storage_client(place)) as store, HttpDatabase(storage_client(place)) as database:
            assert store.put([b"data"]) == [checksum(b"data")]
            (run,) = database.runs(limit=10)
            assert run.label.endswith(":add")
        (service,) = launch.status(place)["services"]
        assert (service["name"], service["state"]) == ("storage", "running")
        os.kill(service["pid"], signal.SIGKILL)
        eventually(lambda: launch.status(place)["services"][0]["restarts"] == 1)
        eventually(lambda: launch.status(place)["services"][0]["state"] == "running")
        assert contact_of(place).storage == told["storage"]
        with HttpStore(storage_client(place)) as store:
            assert store.get([checksum(b"data")]) == [b"data"]
        for words in (["scale", "kept", "2"], ["dashboard", "kept", "--print"]):
            refused = offload(*words)
            assert refused.returncode in (1, 2)
            assert b"storage only" in refused.stderr
        assert b"DASK_SCHEDULER_ADDRESS" not in offload("env", "kept").stdout
        monkeypatch.setenv("OFFLOAD_DEPLOYMENT", "kept")
        with pytest.raises(OffloadError, match="storage only"):
            add.submit(3, 4).result(SECONDS)
        members |= family(contact_of(place).head["pid"])
    finally:
        down = offload("down", "kept", timeout=SECONDS)
    assert down.returncode == 0, down.stderr
    assert wait_until_gone(members, 5) == {}


@pytest.mark.real
def test_storage_beside_workers(registry_of_workers: tuple[Registry, Place]) -> None:
    _, place = registry_of_workers
    names = [service["name"] for service in launch.status(place)["services"]]
    assert names == ["scheduler", "jobs", "storage"]
    with HttpStore(storage_client(place)) as store:
        assert store.put([b"data"]) == [checksum(b"data")]


@pytest.fixture
def registry_of_workers(home: Path) -> Iterator[tuple[Registry, Place]]:
    registry = Registry(str(home))
    launch.up(registry, Spec(name="test", workers=1), print)
    place = registry.get("test")
    yield registry, place
    launch.down(registry, place, print)
