"""The registry: what is kept, under which name, and which deployment is meant."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from offload.errors import DamagedError, NotFoundError
from offload.registry.contact import Contact
from offload.registry.deployments import Registry


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.delenv("OFFLOAD_DEPLOYMENT", raising=False)
    return Registry(str(tmp_path))


def test_only_the_owner_can_read_a_deployment(registry: Registry) -> None:
    place = registry.create("a", "{}")
    assert stat.S_IMODE(os.stat(place.path).st_mode) == 0o700
    assert stat.S_IMODE(os.stat(place.spec).st_mode) == 0o600


def test_names_and_removal(registry: Registry) -> None:
    assert registry.names() == []
    registry.create("b", "{}")
    registry.create("a", "{}")
    assert registry.names() == ["a", "b"]
    registry.use("a")
    registry.remove("a")
    assert registry.names() == ["b"]
    assert registry.in_use() is None


def test_which_deployment_is_active(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "c"):
        registry.create(name, "{}")
    assert registry.active() is None
    registry.use("a")
    active = registry.active()
    assert active is not None
    assert active.name == "a"
    monkeypatch.setenv("OFFLOAD_DEPLOYMENT", "b")
    active = registry.active()
    assert active is not None
    assert active.name == "b"
    active = registry.active("c")
    assert active is not None
    assert active.name == "c"


def test_one_that_is_not_there_is_named_with_those_that_are(registry: Registry) -> None:
    registry.create("a", "{}")
    with pytest.raises(NotFoundError, match="there is no deployment b") as caught:
        registry.get("b")
    assert "a" in str(caught.value.hint)


def test_the_only_one_is_meant_when_none_is_named(registry: Registry) -> None:
    with pytest.raises(NotFoundError):
        registry.only(None)
    registry.create("a", "{}")
    assert registry.only(None).name == "a"
    registry.create("b", "{}")
    with pytest.raises(NotFoundError, match="no deployment is active"):
        registry.only(None)


def test_a_contact_file_is_read_as_it_was_written(registry: Registry) -> None:
    place = registry.create("a", "{}")
    assert Contact.read(place.contact) is None
    Contact("running", {"pid": 1}, "tls://127.0.0.1:8786").write(place.contact)
    found = Contact.read(place.contact)
    assert found is not None
    assert (found.state, found.head, found.scheduler) == ("running", {"pid": 1}, "tls://127.0.0.1:8786")


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"version": 1, "other": 2}'])
def test_a_damaged_contact_file_is_told(registry: Registry, text: str) -> None:
    place = registry.create("a", "{}")
    Path(place.contact).write_text(text)
    with pytest.raises(DamagedError, match="not a contact file"):
        Contact.read(place.contact)
