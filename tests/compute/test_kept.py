"""Where results are kept: the environment first, then the deployment in use, then the home."""

from __future__ import annotations

from pathlib import Path

import pytest

from offload.registry.active import Choice, choose, drop
from offload.registry.deployments import Registry
from offload.registry.location import home as home_of_process
from offload.registry.session import current
from offload.storage.home import home_path


def used() -> tuple[str, str]:
    home = current().home
    return home.store, home.database


def test_the_home_is_the_one_that_others_see(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert home_of_process() == home_path() == str(home)
    monkeypatch.chdir(tmp_path)
    for chosen in ("relative", "~/x", str(tmp_path / "a" / ".." / "b"), "", str(home)):
        monkeypatch.setenv("OFFLOAD_HOME", chosen)
        assert home_of_process() == home_path()
    monkeypatch.setenv("OFFLOAD_HOME", "relative")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert home_of_process() == str(tmp_path / "below" / "relative")


def test_who_decides(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = str(home / "store"), str(home / "database.sqlite")
    registry = Registry(str(home))
    assert used() == own
    registry.create("plain", "{}")
    registry.create("one", "{}", str(tmp_path / "one"), str(tmp_path / "one.sqlite"))
    registry.create("half", "{}", str(tmp_path / "half"))
    assert used() == own
    registry.use("one")
    assert used() == (str(tmp_path / "one"), str(tmp_path / "one.sqlite"))
    monkeypatch.setenv("OFFLOAD_DEPLOYMENT", "half")
    assert used() == (str(tmp_path / "half"), own[1])
    choice = Choice("plain")
    choose(choice)
    assert used() == own
    drop(choice)
    for name in ("none", "missing"):
        monkeypatch.setenv("OFFLOAD_DEPLOYMENT", name)
        assert used() == own
    monkeypatch.delenv("OFFLOAD_DEPLOYMENT")
    monkeypatch.setenv("OFFLOAD_DATABASE", str(tmp_path / "named.sqlite"))
    assert used() == (own[0], str(tmp_path / "named.sqlite"))
    monkeypatch.delenv("OFFLOAD_DATABASE")
    registry.remove("one")
    assert used() == own


def test_another_storage_is_another_session(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = current()
    monkeypatch.setenv("OFFLOAD_BUFFERS", str(tmp_path / "other"))
    second = current()
    assert second is not first
    assert current() is second
    (name,) = second.store.put([b"data"])
    assert first.store.get([name]) == [None]
