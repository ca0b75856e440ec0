"""The scratch directory."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from offload.commands.planning.planner import Planner
from offload.commands.planning.stdin import Stdin
from offload.commands.request import Request
from offload.commands.running import scratch as stage
from offload.commands.running.scratch import Scratch, remove_tree
from offload.commands.running.staging import Stager, depth_of
from offload.errors import OffloadError, UsageError
from offload.storage import copies
from offload.storage.copies import MOMENT, copy_verified
from offload.storage.file_checksums import FileChecksums
from tests.requirements import requires, requires_program, requires_root

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "a" / "b"
    path.mkdir(parents=True)
    monkeypatch.chdir(path)
    return path


def staged(tmp_path: Path, argv: list[str], inputs: list[str], outputs: list[str]) -> Path:
    (tmp_path / "scratch").mkdir(exist_ok=True)
    files = FileChecksums(str(tmp_path / "files.sqlite"))
    request = Request(argv, inputs=inputs, outputs=outputs)
    try:
        plan = Planner(files).plan([request], Stdin())[0]
    finally:
        files.close()
    scratch = Scratch(str(tmp_path / "scratch"))
    scratch.prepare(depth_of([item.path for item in plan.inputs] + request.output_paths))
    Stager(scratch).stage(plan.inputs, request.outputs)
    return Path(scratch.work)


def test_everything_is_where_the_command_looks(tmp_path: Path, work: Path) -> None:
    (tmp_path / "top").write_text("top")
    (work.parent / "up").write_text("up")
    (work / "d" / "sub").mkdir(parents=True)
    (work / "d" / "sub" / "x").write_text("x")
    (work / "run").write_text("run")
    (work / "run").chmod(0o700)
    place = staged(tmp_path, ["./run", "../up"], ["../../top", "d", "d/sub/x"], ["o/p/file", "made/", "../out"])
    assert (place / "../../top").read_text() == "top"
    assert (place / "../up").read_text() == "up"
    assert (place / "d/sub/x").read_text() == "x"
    assert os.access(place / "run", os.X_OK)
    assert not (place / "d/sub/x").stat().st_mode & 0o111
    assert (place / "o/p").is_dir()
    assert (place / "made").is_dir()
    assert not (place / "o/p/file").exists()
    assert (place / "d/sub").stat().st_mtime_ns == (place / "d/sub/x").stat().st_mtime_ns == MOMENT


def test_the_current_directory_as_an_input(tmp_path: Path, work: Path) -> None:
    (work / "x").write_text("x")
    (work / "old").mkdir()
    (work / "old" / "y").write_text("y")
    place = staged(tmp_path, ["ls", "."], ["./x"], ["old"])
    assert (place / "x").read_text() == "x"
    assert list((place / "old").parent.iterdir()) == [place / "x"]


def test_copies_are_no_links(tmp_path: Path, work: Path) -> None:
    (work / "x").write_text("x")
    (work / "l").symlink_to("x")
    place = staged(tmp_path, ["cat", "x", "l"], [], [])
    assert not (place / "l").is_symlink()
    assert (place / "x").stat().st_ino != (work / "x").stat().st_ino


def test_one_place_for_two_files_is_refused(tmp_path: Path, work: Path) -> None:
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    (tmp_path / "elsewhere" / "x").write_text("1")
    (work / "x").write_text("2")
    (work / "link").symlink_to(tmp_path / "elsewhere" / "deep")
    with pytest.raises(UsageError, match="are different files, but have one place in a copy: x"):
        staged(tmp_path, ["cat", "x", "link/../x"], [], [])


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("now")
    before = hashlib.sha256(b"before").hexdigest()
    with pytest.raises(OffloadError, match="changed while it was read"):
        copy_verified(str(tmp_path / "x"), str(tmp_path / "copy"), before, False)


def test_a_reflink_is_verified_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def reflink(reader: int, writer: int) -> bool:
        os.pwrite(writer, os.pread(reader, 100, 0), 0)
        return True

    monkeypatch.setattr(copies, "reflink", reflink)
    (tmp_path / "x").write_text("content")
    copy_verified(str(tmp_path / "x"), str(tmp_path / "y"), hashlib.sha256(b"content").hexdigest(), True)
    assert (tmp_path / "y").read_text() == "content"
    with pytest.raises(OffloadError, match="changed while it was read"):
        copy_verified(str(tmp_path / "x"), str(tmp_path / "z"), hashlib.sha256(b"other").hexdigest(), True)


def test_two_may_remove_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever makes a scratch directory removes those of processes that were killed: several at a time, perhaps."""
    place = tmp_path / "t"
    (place / "part").mkdir(parents=True)
    remove = os.rmdir

    def remove_after_another(path: str) -> None:
        remove(path)
        remove(path)

    monkeypatch.setattr(os, "rmdir", remove_after_another)
    remove_tree(str(place))
    assert not place.exists()


def test_removal_is_complete(tmp_path: Path) -> None:
    (tmp_path / "t" / "ro" / "deep").mkdir(parents=True)
    (tmp_path / "t" / "ro" / "deep" / "x").touch()
    (tmp_path / "t" / "out").symlink_to(tmp_path)
    (tmp_path / "t" / "ro" / "deep").chmod(0o500)
    (tmp_path / "t" / "ro").chmod(0o500)
    remove_tree(str(tmp_path / "t"))
    assert tmp_path.exists()
    assert not (tmp_path / "t").exists()
    remove_tree(str(tmp_path / "t"))


@pytest.mark.real
def test_removal_by_an_ordinary_user(tmp_path: Path) -> None:
    requires_root()
    setpriv = requires_program("setpriv")
    place = Path("/tmp") / f"offload-test-{os.urandom(4).hex()}"
    subprocess.run(["mkdir", "-p", place / "ro" / "deep"], check=True)
    (place / "ro" / "deep" / "x").touch()
    (place / "ro" / "deep").chmod(0o500)
    (place / "ro").chmod(0o000)
    subprocess.run(["chown", "-R", "65534:65534", place], check=True)
    script = (
        f"import sys; sys.path.insert(0, sys.argv[1]); from {stage.__name__} import remove_tree; remove_tree('{place}')"
    )
    source = str(Path(stage.__file__).parents[3])
    python = subprocess.run(["sh", "-c", "command -v /usr/bin/python3"], capture_output=True, text=True, check=False)
    requires(python.returncode == 0, "needs a Python that every user may execute")
    readable = subprocess.run([setpriv, "--reuid=65534", "test", "-r", stage.__file__], check=False)
    requires(readable.returncode == 0, "needs sources that every user may read")
    done = subprocess.run(
        [setpriv, "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/python3", "-c", script, source],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not place.exists()


def test_depth() -> None:
    assert depth_of([]) == 0
    assert depth_of(["a/b", "../x", "../../y/z", "/abs/../../.."]) == 2
