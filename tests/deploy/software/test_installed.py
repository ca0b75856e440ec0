from __future__ import annotations

import sys
from pathlib import Path

import pytest

from offload.environments.installed import DIRECT, PROJECT, RELEASED, UNLISTED, installed, required
from tests.deploy.software.machines import install, one, site_directory


def test_where_distributions_have_come_from(tmp_path: Path) -> None:
    site = site_directory(tmp_path)
    install(site, "released")
    install(site, "built", origin={"dir_info": {}, "url": "file:///home/me/built"})
    install(site, "edited", origin={"dir_info": {"editable": True}, "url": "file:///home/me/my%20project"})
    install(site, "direct", origin={"archive_info": {}, "url": "https://example.org/direct.whl"})
    (install(site, "system") / "RECORD").unlink()
    found = {dist.name: (dist.kind, dist.source) for dist in installed([str(site)])}
    assert found == {
        "released": (RELEASED, None),
        "built": (PROJECT, None),
        "edited": (PROJECT, "/home/me/my project"),
        "direct": (DIRECT, None),
        "system": (UNLISTED, None),
    }


def test_the_first_directory_hides_the_others(tmp_path: Path) -> None:
    for number in "12":
        install(site_directory(tmp_path / number), "twice", number)
    found = installed([str(site_directory(tmp_path / number)) for number in "12"])
    assert [(dist.name, dist.version) for dist in found] == [("twice", "1")]


def test_a_development_link_of_old(tmp_path: Path) -> None:
    site = site_directory(tmp_path / "env")
    source = tmp_path / "project"
    (source / "old.egg-info").mkdir(parents=True)
    (source / "old.egg-info" / "PKG-INFO").write_text("Metadata-Version: 1.0\nName: old\nVersion: 3\n")
    (site / "old.egg-link").write_text(f"{source}\n.\n")
    found = one(site, "old")
    assert (found.kind, found.version, found.source) == (PROJECT, "3", str(source))


def test_what_a_distribution_requires(tmp_path: Path) -> None:
    site = site_directory(tmp_path)
    install(
        site,
        "mine",
        metadata="Requires-Dist: Their.Lib[fast]>=1\nRequires-Dist: never; python_version < '3'\n"
        "Requires-Dist: tool; extra == 'dev'\n",
    )
    install(site, "their_lib", metadata="Requires-Dist: quick; extra == 'fast'\nRequires-Dist: mine\n")
    for name in ("never", "tool", "quick", "other"):
        install(site, name)
    assert [dist.name for dist in required(["mine"], installed([str(site)]))] == ["mine", "quick", "their_lib"]


def test_compiled_ones_of_conda_do_not_travel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = site_directory(tmp_path)
    install(site, "pure")
    wheel = install(site, "compiled") / "WHEEL"
    wheel.write_text(wheel.read_text().replace("true", "false"))
    assert [dist.portable for dist in installed([str(site)])] == [True, True]
    (tmp_path / "conda-meta").mkdir()
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert [(dist.name, dist.portable) for dist in installed([str(site)])] == [("compiled", False), ("pure", True)]


def test_this_very_environment() -> None:
    found = {dist.key: dist for dist in installed()}
    assert found["offload"].kind == PROJECT or found["offload"].source is None
    assert found["pytest"].kind == RELEASED
    assert {"dask", "distributed", "click"} <= {dist.key for dist in required(["offload"], list(found.values()))}
