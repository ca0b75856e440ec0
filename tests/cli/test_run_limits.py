"""``offload run`` where space or permission runs out, and how little a recalled command imports."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.requirements import requires, requires_program, requires_root

if TYPE_CHECKING:
    from tests.conftest import Offload

HEAVY = {
    "asyncio", "cbor2", "click", "cloudpickle", "concurrent.futures", "contextlib", "dask", "dataclasses",
    "distributed", "enum", "inspect", "json", "logging", "pathlib", "platformdirs", "re", "rich", "shutil",
    "subprocess", "tempfile", "typing", "warnings",
}  # fmt: skip


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "work"
    path.mkdir()
    monkeypatch.chdir(path)
    return path


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    requires_root()
    mount, umount = requires_program("mount"), requires_program("umount")
    path = tmp_path / "small"
    path.mkdir()
    done = subprocess.run([mount, "-t", "tmpfs", "-o", "size=4m", "tmpfs", path], capture_output=True, check=False)
    requires(done.returncode == 0, f"cannot mount a tmpfs: {done.stderr.decode().strip()}")
    yield path
    subprocess.run([umount, path], check=True)


def test_a_recalled_command_imports_nothing_heavy(offload: Offload, home: Path, work: Path) -> None:
    (work / "data").write_text("x")
    words = ["run", "-o", "out", "--", "sh", "-c", "cat data; cp data out"]
    offload(*words)
    script = (
        "import sys; from offload.cli.main import main; code = main(sys.argv[1:]); print(*sys.modules); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:] = {sys.path!r}; {script}", *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )
    assert done.stderr.startswith(b"offload: recalled")
    assert not HEAVY & set(done.stdout.decode().split())


@pytest.mark.real
def test_a_full_disk_while_storing(offload: Offload, work: Path, small: Path) -> None:
    home = {"OFFLOAD_HOME": str(small / "home")}
    text = "yes | head -c 6000000; echo 1 > out"
    for _ in range(2):
        done = offload("run", "-o", "out", "--", "sh", "-c", text, env=home)
        assert done.returncode == 125
        assert done.stdout == b"y\n" * 3_000_000
        assert (work / "out").read_text() == "1\n"
        assert b"the command ended well, but its result is not recorded" in done.stderr
        assert b"Traceback" not in done.stderr
        (work / "out").unlink()
    assert b"recorded" in offload("run", "--", "echo", "small", env=home).stderr
    assert b"recalled" in offload("run", "--", "echo", "small", env=home).stderr


@pytest.mark.real
def test_a_full_disk_while_storing_many(offload: Offload, work: Path, small: Path) -> None:
    home = {"OFFLOAD_HOME": str(small / "home")}
    done = offload("run", "--", "sh", "-c", "yes | head -c {}", ":::", "6000000", "10", env=home)
    assert done.returncode == 125
    assert done.stdout == b"y\n" * 3_000_005
    assert b"1 not recorded: " in done.stderr


@pytest.mark.real
def test_a_full_scratch_directory(offload: Offload, work: Path, small: Path) -> None:
    (work / "big").write_bytes(b"y\n" * 3_000_000)
    done = offload("run", "--scratch", str(small), "--", "wc", "-c", "big")
    assert done.returncode == 125
    assert b"no space is left for the scratch directory" in done.stderr
    assert list(small.iterdir()) == []


@pytest.mark.real
def test_a_home_that_cannot_be_written(offload: Offload, work: Path, small: Path) -> None:
    home = {"OFFLOAD_HOME": str(small / "home")}
    offload("run", "--", "echo", "before", env=home)
    subprocess.run(["mount", "-o", "remount,ro", small], check=True)
    assert b"recalled" in offload("run", "--", "echo", "before", env=home).stderr
    done = offload("run", "--", "sh", "-c", "echo ran >&2", env=home)
    assert done.returncode == 125
    assert b"ran\n" not in done.stderr
    assert b"not writable" in done.stderr


def test_fewer_commands_at_once_where_few_files_may_be_open(command: Path, home: Path, work: Path) -> None:
    numbers = [str(number) for number in range(30)]
    for name in numbers:
        (work / name).write_text(name)
    words = ["run", "-j", "8", "--output", "out/{}", "--", "sh", "-c", "cp $0 out/$0; cat $0", "{}", ":::", *numbers]
    done = subprocess.run(
        ["sh", "-c", 'ulimit -n 32; exec "$@"', "_", command, *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == "".join(numbers).encode()
    assert b"not 8: this process may have 32 files open (ulimit -n)\n" in done.stderr
    assert sorted(map(int, os.listdir("out"))) == list(range(30))


def test_holes_stay_holes(offload: Offload, home: Path, work: Path) -> None:
    """Of an input that is copied, of what is stored, and of an output that is recalled."""
    size = 300_000_000
    with open("sparse", "wb") as file:
        file.truncate(size)
        file.seek(200_000_001)
        file.write(b"something")
    requires(room("sparse") < 10**6, "a file system without holes")
    script = (
        f"import os; print(os.stat('sparse').st_blocks * 512 < 10**6); "
        f"made = open('made', 'wb'); made.truncate({size}); made.seek(99_999_999); made.write(b'made')"
    )
    words = ["run", "--output", "made", "--", sys.executable, "-c", script, "sparse"]
    for how in (b"computed", b"recalled"):
        done = offload(*words)
        assert done.stderr.startswith(b"offload: " + how)
        assert done.stdout == b"True\n"
        assert room("made") < 10**6
        with open("made", "rb") as file:
            assert not any(file.read(99_999_999))
            assert file.read(5) == b"made\0"
            assert os.stat("made").st_size == size
        os.unlink("made")
    assert sum(room(os.path.join(place, name)) for place, _, names in os.walk(home) for name in names) < 10**7


def room(path: str) -> int:
    return os.stat(path).st_blocks * 512
