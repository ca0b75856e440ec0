"""In which directory calls on a deployment run: that of the program where workers see it, else an empty one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import offload
from offload.api import submit
from offload.deploy.config.spec import Spec
from offload.deploy.lifecycle import local as launch
from offload.errors import EffectWarning, NotRecordedWarning
from offload.registry import shared_files
from offload.registry.deployments import Registry
from offload.registry.shared_files import working_directory

pytestmark = pytest.mark.real

SECONDS = 120.0


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The home of a deployment with one worker."""
    home = tmp_path_factory.mktemp("home")
    registry = Registry(str(home))
    launch.up(registry, Spec(name="test", workers=1), print)
    yield home
    launch.down(registry, registry.get("test"), print)


@pytest.fixture(autouse=True)
def there(up: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Calls go to the deployment, from a directory of the test's."""
    monkeypatch.setenv("OFFLOAD_HOME", str(up))
    monkeypatch.setenv("OFFLOAD_DEPLOYMENT", "test")
    monkeypatch.chdir(tmp_path)
    yield
    submit.shutdown()


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory of the program is another one where the calls run."""
    monkeypatch.setattr(
        "offload.tasks.own_function.working_directory",
        lambda: (found := working_directory()) and found._replace(inode=found.inode + 1),
    )


@offload.task(effects="ignore")
def directory(number: int) -> str:
    return os.getcwd()


@offload.task
def read(name: str) -> str:
    return Path(name).read_text()


@offload.task
def write(name: str, text: str) -> Any:
    os.makedirs("deep", exist_ok=True)
    Path("deep", name).write_text(text)
    return [offload.File(Path("deep", name))]


@offload.task
def lose(name: str) -> str:
    Path(name).write_text("text")
    return name


@offload.task(effects="ignore")
def leave(name: str) -> list[str]:
    """Leave what is hard to remove, and go away."""
    before = os.listdir()
    os.makedirs("closed/within")
    Path("closed/within", name).write_text(name)
    os.chmod("closed", 0o500)
    os.chdir("/tmp")
    return before


@offload.task(effects="ignore")
def remove(number: int) -> list[str]:
    before = os.listdir()
    os.rmdir(os.getcwd())
    return before


def test_in_that_of_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert directory.submit(1).result(SECONDS) == str(tmp_path)
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert set(offload.gather(directory.map([2, 3, 4]))) == {str(tmp_path / "other")}


def test_what_is_read_there_undeclared_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "data.txt").write_text("one")
    with pytest.warns(NotRecordedWarning, match=f"it read {tmp_path}/data.txt"):
        assert read.submit("data.txt").result(SECONDS) == "one"
    (tmp_path / "data.txt").write_text("two")  # which was told before, once
    assert read.submit("data.txt").result(SECONDS) == "two"


def test_files_that_are_written_there_stay(tmp_path: Path) -> None:
    for _ in range(2):
        (file,) = write.submit("out.txt", "here").result(SECONDS)
        assert file.path == str(tmp_path / "deep/out.txt")
        assert (tmp_path / "deep/out.txt").read_text() == "here"
        (tmp_path / "deep/out.txt").unlink()


@pytest.mark.usefixtures("elsewhere")
def test_in_an_empty_one_where_it_is_not_seen(tmp_path: Path) -> None:
    place = directory.submit(11).result(SECONDS)
    assert place != str(tmp_path)
    for call in (leave, remove):  # what a call leaves is gone when the next one begins
        assert offload.gather(call.map(["12", "13"])) == [[], []]
    with pytest.raises(FileNotFoundError) as caught:
        read.submit("missing.txt").result(SECONDS)
    (note,) = (note for note in caught.value.__notes__ if "empty directory" in note)
    assert f"{tmp_path} is not seen there" in note
    assert "depends_on=[pathlib.Path('missing.txt')]" in note
    with pytest.raises(FileNotFoundError) as caught:
        read.submit("/missing.txt").result(SECONDS)
    assert not any("empty directory" in note for note in getattr(caught.value, "__notes__", ()))


@pytest.mark.usefixtures("elsewhere")
def test_files_that_are_written_there_arrive_in_that_of_the_program(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for _ in range(2):
        (file,) = write.submit("far.txt", "far").result(SECONDS)
        assert file.path == str(tmp_path / "deep/far.txt")
        assert Path(file).read_text() == "far"
        (tmp_path / "deep/far.txt").unlink()


@pytest.mark.usefixtures("elsewhere")
def test_what_is_lost_there_is_told() -> None:
    with pytest.warns(EffectWarning, match=r"it wrote 'lost.txt' .* removed .* return offload.File\('lost.txt'\)"):
        assert lose.submit("lost.txt").result(SECONDS) == "lost.txt"


def test_which_directories_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = working_directory()
    assert here is not None
    assert here.is_here()
    assert not here._replace(inode=here.inode + 1).is_here()
    assert not here._replace(device=here.device + 1).is_here()
    assert not here._replace(path=str(tmp_path / "gone")).is_here()
    # Another machine tells by the network file system; a path and an inode that are alike say nothing.
    other = here._replace(machine="another", device=here.device + 1)
    assert not other.is_here()
    monkeypatch.setattr(shared_files, "_server", lambda path, device: "nfs4 nas:/home /")
    assert not other.is_here()
    assert other._replace(server="nfs4 nas:/home /").is_here()
    assert not other._replace(server="nfs4 nas:/other /").is_here()
    (tmp_path / "soon gone").mkdir()
    monkeypatch.chdir(tmp_path / "soon gone")
    (tmp_path / "soon gone").rmdir()
    assert working_directory() is None


@offload.task
def report(text: str, count: int) -> dict[str, Any]:
    table = offload.output("results/table.csv")
    Path(table).write_text(text * count)
    pages = offload.output("results/pages/")
    Path(pages, "one.txt").write_text(text)
    Path(offload.output("results/log.txt")).write_text("written, and not returned")
    return {"tables": [table], "pages": pages}


def check_report(tmp_path: Path, text: str) -> None:
    for recalled in (False, True):
        future = report.submit(text, 2)
        found = future.result(SECONDS)
        assert (found["tables"][0].path, found["pages"].path) == (
            f"{tmp_path}/results/table.csv",
            f"{tmp_path}/results/pages",
        )
        assert Path(found["tables"][0]).read_text() == text * 2
        assert Path(found["pages"], "one.txt").read_text() == text
        assert (tmp_path / "results/log.txt").read_text() == "written, and not returned"
        assert (bool(future.recalled), future.unrecorded, future.effects) == (recalled, None, None)
        shutil.rmtree(tmp_path / "results")


def test_outputs(tmp_path: Path) -> None:
    check_report(tmp_path, "seen")


@pytest.mark.usefixtures("elsewhere")
def test_outputs_of_an_empty_one(tmp_path: Path) -> None:
    check_report(tmp_path, "far")


def test_outputs_belong_to_the_directory_at_the_submission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other").mkdir()
    future = report.submit("moved", 1)
    monkeypatch.chdir(tmp_path / "other")
    future.result(SECONDS)
    assert (tmp_path / "results/table.csv").read_text() == "moved"
    assert os.listdir(tmp_path / "other") == []
