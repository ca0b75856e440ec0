"""Whose code is it: a table of all ways to install a project, each edited and run again in fresh processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.everyday.layouts import LAYOUTS, Layout, edited, install, script, search_path
from tests.everyday.workshop import Workshop, answers

pytestmark = pytest.mark.real

NAMES = sorted(one.name for one in LAYOUTS)
FOLLOWED = sorted(one.name for one in LAYOUTS if one.is_followed)
OTHERS = sorted(set(NAMES) - set(FOLLOWED))


class Owner:
    """Who has all these projects, and a script that uses them."""

    def __init__(self, directory: Path, layouts: list[Layout], rate: int = 1) -> None:
        self.directory = directory
        self.layouts = layouts
        self.workshop = Workshop.make(directory)
        (directory / "scripts").mkdir()
        self.script = directory / "scripts" / "use.py"
        self.script.write_text(script(layouts).replace("__LOG__", repr(str(self.workshop.log))))
        for one in layouts:
            one.write(directory, rate)
        install(self.workshop, directory, layouts)

    def run(self, *words: str, **variables: str) -> tuple[dict[str, object], list[str]]:
        """Return the results by project, and which were executed."""
        variables["PYTHONPATH"] = search_path(self.directory)
        printed = self.workshop.run(self.script, *words, cwd=self.directory, **variables)
        return answers(printed), self.workshop.executed()


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Owner:
    return Owner(tmp_path_factory.mktemp("projects"), LAYOUTS)


def test_every_way_to_install_a_project(owner: Owner) -> None:
    """An edit is noticed as soon as Python would see it; until then, and after an edited comment, all is recalled."""
    directory = owner.directory
    assert owner.run() == (dict.fromkeys(NAMES, 10), NAMES)
    assert owner.run() == (dict.fromkeys(NAMES, 10), [])
    edited(LAYOUTS, directory, "RATE = 1", "RATE = 5")
    assert owner.run() == ({**dict.fromkeys(FOLLOWED, 50), **dict.fromkeys(OTHERS, 10)}, FOLLOWED)
    install(owner.workshop, directory, [one for one in LAYOUTS if not one.is_followed], again=True)
    assert owner.run() == (dict.fromkeys(NAMES, 50), OTHERS)
    edited(LAYOUTS, directory, "the first comment", "another comment")
    install(owner.workshop, directory, [one for one in LAYOUTS if one.how in ("directory", "zip")], again=True)
    assert owner.run() == (dict.fromkeys(NAMES, 50), [])


def test_two_projects_of_one_name_share_no_results(owner: Owner, tmp_path: Path) -> None:
    """Two checkouts, two environments, one home: what the first one has recorded is not the other's."""
    owner.run()
    chosen = [one for one in LAYOUTS if one.name in ("flatpkg", "srcpkg", "dirpkg", "wheelpkg")]
    other = Owner(tmp_path, chosen, rate=7)
    other.workshop.home = owner.workshop.home
    names = sorted(one.name for one in chosen)
    assert other.run() == (dict.fromkeys(names, 70), names)
    assert other.run() == (dict.fromkeys(names, 70), [])


def test_on_workers(owner: Owner) -> None:
    """The same table on a deployment of this machine: an edit is noticed there, and by nobody else."""
    owner.workshop.offload("up", "--name", "shop", "--workers", "1")
    try:
        first, _ = owner.run("map", OFFLOAD_DEPLOYMENT="shop")
        edited(LAYOUTS, owner.directory, "RATE = ", "RATE = 100 + ")
        now, executed = owner.run("map", OFFLOAD_DEPLOYMENT="shop")
        assert executed == FOLLOWED
        assert now == {name: first[name] + 1000 * (name in FOLLOWED) for name in NAMES}  # type: ignore[operator]
        assert owner.run("map", OFFLOAD_DEPLOYMENT="shop") == (now, [])
    finally:
        owner.workshop.offload("down", "shop")
