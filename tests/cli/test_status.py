"""``offload status``, and the command line as a whole."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from offload import __version__
from offload.cli.app import COMMANDS
from offload.registry.session import current
from offload.storage.local.store import DirectoryStore
from tests.cli.conftest import Inside
from tests.conftest import Offload
from tests.requirements import requires_program, requires_root


def test_before_anything_is_made(offload: Offload, home: Path) -> None:
    done = offload("status")
    assert done.returncode == 0
    assert f"home: {home} (not made yet)" in done.stdout.decode().splitlines()
    assert not home.exists()


def test_what_is_kept(inside: Inside, tmp_path: Path, home: Path) -> None:
    (tmp_path / "words").write_text("b\na\n")
    os.utime(tmp_path / "words", (1_000_000_000, 1_000_000_000))
    inside("run", "--", "sort", "words", cwd=tmp_path)
    inside("run", "--", "echo", "x", cwd=tmp_path)
    lines = dict(line.split(": ", 1) for line in inside("status").stdout.decode().splitlines())
    assert lines["version"] == __version__
    assert lines["home"] == str(home)
    assert " free of " in lines["file system"]
    assert lines["database"] == "2 results, 2 runs"
    assert lines["deployments"] == "none"
    assert lines["health"] == "good"
    told = json.loads(inside("status", "--json").stdout)
    usage = current().store.usage()
    assert told["store"] == {"buffers": usage.buffers, "bytes": usage.bytes, "corrupt": 0}
    assert told["database"]["complete"] == 2
    assert told["file_cache"] == {"files": current().files.count()}
    assert told["free"] <= told["capacity"]
    assert (told["deployments"], told["problems"]) == ([], [])


def test_corrupt_buffers_are_told(inside: Inside, home: Path) -> None:
    data = Random(1).randbytes(100_000)
    [checksum] = current().store.put([data])
    place = home / "store" / "buffers" / checksum[:2] / checksum
    place.chmod(0o644)
    place.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert inside("get", checksum).returncode == 1
    done = inside("status")
    assert done.returncode == 0
    assert b"health: 1 problem" in done.stdout
    assert b"1 corrupt buffer found and set aside" in done.stderr
    [problem] = json.loads(inside("status", "--json").stdout)["problems"]
    assert "store/corrupt" in problem["message"]


@pytest.mark.parametrize("name", ["database.sqlite", "store/index.sqlite"])
def test_a_damaged_file_is_told_and_the_rest_is_shown(offload: Offload, home: Path, name: str) -> None:
    offload("run", "--", "echo", "x")
    for suffix in ("-wal", "-shm"):
        (home / (name + suffix)).unlink(missing_ok=True)
    (home / name).write_bytes(b"no database " * 1000)
    done = offload("status")
    assert done.returncode == 3
    assert f"{home / name} is damaged" in done.stderr.decode()
    assert "mv " in done.stderr.decode()
    assert "health: 1 problem" in done.stdout.decode()
    assert ("store: " in done.stdout.decode()) is name.startswith("database")
    assert b"Traceback" not in done.stderr
    told = json.loads(offload("status", "--json").stdout)
    assert told["store" if name.startswith("store") else "database"] is None


def test_a_home_that_cannot_be_written(inside: Inside, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside("run", "--", "echo", "x")
    monkeypatch.setattr(os, "access", lambda path, mode: not (path == str(home) and mode == os.W_OK))
    done = inside("status")
    assert (done.returncode, f"{home} cannot be written" in done.stderr.decode()) == (3, True)
    assert b"database: 1 result, 1 run" in done.stdout


def test_a_full_disk(inside: Inside, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = list(os.statvfs("/"))
    room[4] = 0
    monkeypatch.setattr(os, "statvfs", lambda path: os.statvfs_result(room))
    done = inside("status")
    assert (done.returncode, b"no space is left" in done.stderr) == (3, True)
    assert b", 0 bytes free of " in done.stdout


def test_a_home_that_is_none(offload: Offload, home: Path) -> None:
    home.write_text("a file")
    done = offload("status")
    assert (done.returncode, b"is not a directory" in done.stderr) == (3, True)


def test_a_home_below_a_file(offload: Offload, home: Path) -> None:
    home.write_text("a file")
    done = offload("status", env={"OFFLOAD_HOME": f"{home}/sub"})
    assert (done.returncode, b"is not a directory" in done.stderr) == (3, True)
    assert b"health: 1 problem" in done.stdout


def test_a_small_disk_is_no_full_one(inside: Inside, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = list(os.statvfs("/"))
    room[1:5] = 1, 1_000_000, 958_000, 958_000
    monkeypatch.setattr(os, "statvfs", lambda path: os.statvfs_result(room))
    done = inside("status")
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("words", [["list"], ["use", "--none"], ["env"], ["logs"], ["down"], ["up", "--dry-run"]])
@pytest.mark.parametrize("kind", ["file", "below a file", "format"])
def test_deployments_of_a_home_that_is_none(offload: Offload, home: Path, words: list[str], kind: str) -> None:
    if kind == "format":
        (home / "FORMAT").mkdir(parents=True)
    else:
        home.write_text("a file")
    done = offload(*words, env={"OFFLOAD_HOME": f"{home}/sub" if kind == "below a file" else str(home)})
    assert (done.returncode, done.stdout) == (3, b"")
    assert (b"FORMAT does not say" if kind == "format" else b"is not a directory") in done.stderr
    assert done.stderr.count(b"\n") == 2


def test_a_newer_home(offload: Offload, home: Path) -> None:
    offload("run", "--", "true")
    (home / "FORMAT").write_text("offload home 99\n")
    done = offload("status")
    assert (done.returncode, b"newer offload" in done.stderr) == (3, True)


def test_the_help_lists_every_command_with_a_line(offload: Offload) -> None:
    text = offload("--help").stdout.decode()
    assert offload().stdout.decode() == text
    listed = text.split("Commands:\n")[1].splitlines()
    assert [line.split()[0] for line in listed] == list(COMMANDS)
    assert all(line.endswith(".") for line in listed)


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_help_teaches_with_an_example(inside: Inside, name: str) -> None:
    done = inside(name, "--help")
    assert done.returncode == 0
    text = done.stdout.decode()
    assert text.startswith(f"Usage: offload {name} ")
    assert re.search(rf"^  .*\boffload {name}\b", text, re.MULTILINE), "show an example in the epilog"


def test_the_version(offload: Offload) -> None:
    assert offload("--version").stdout.decode() == f"offload {__version__}\n"


def test_an_unknown_command(offload: Offload) -> None:
    done = offload("remember")
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"No such command 'remember'" in done.stderr


def test_the_version_is_told_without_click() -> None:
    code = "import sys; from offload.cli.main import main; main(['--version']); sys.exit('click' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stdout.decode()) == (0, f"offload {__version__}\n")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["history"], 3),
        (["status"], 3),
        (["status", "--json"], 3),
        (["put", "words"], 3),
        (["get", "BUFFER"], 3),
        (["--help"], 3),
        (["--version"], 3),
        (["run", "--dry-run", "--", "true"], 125),
    ],
)
def test_output_that_cannot_be_written_is_told_in_a_line(
    offload: Offload, command: Path, tmp_path: Path, words: list[str], code: int
) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    (tmp_path / "words").write_bytes(bytes(5_000_000))
    checksum = offload("put", "words", cwd=tmp_path).stdout.decode().split()[0]
    assert offload("run", "--", "echo", "x").returncode == 0
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [command, *(checksum if word == "BUFFER" else word for word in words)],
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            check=False,
            timeout=60,
        )
    told = b"offload: standard output cannot be written: No space left on device\n"
    assert (done.returncode, done.stderr) == (code, told)


def test_other_errors_of_the_system_are_not_blamed_on_the_output(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(store: DirectoryStore) -> None:
        raise OSError(errno.EIO, "Input/output error")

    inside("run", "--", "true")
    monkeypatch.setattr(DirectoryStore, "usage", fail)
    done = inside("status")
    assert (done.returncode, b"internal error: OSError" in done.stderr) == (1, True)


def test_deployments_are_named(inside: Inside, home: Path) -> None:
    inside("run", "--", "true")
    (home / "deployments" / "big").mkdir(parents=True)
    (home / "deployments" / "big" / "spec.json").write_text("{}")
    assert b"deployments: big (down)\n" in inside("status").stdout
    assert json.loads(inside("status", "--json").stdout)["deployments"] == [{"name": "big", "state": "down"}]


@pytest.mark.parametrize("name", ["", "x"])
def test_a_home_that_is_none_with_a_deployment_chosen(offload: Offload, home: Path, name: str) -> None:
    home.write_text("a file")
    done = offload("status", env={"OFFLOAD_DEPLOYMENT": name})
    assert (done.returncode, b"is not a directory" in done.stderr) == (3, True)


@pytest.mark.real
@pytest.mark.parametrize("words", ["history", "run -- echo hi", "put /etc/hostname", "gc", "list", "status"])
def test_a_home_that_cannot_be_reached(command: Path, tmp_path: Path, words: str) -> None:
    requires_root()
    setpriv = requires_program("setpriv")
    (tmp_path / "theirs" / "home").mkdir(parents=True)
    os.chmod(tmp_path / "theirs", 0o700)
    os.chown(tmp_path / "theirs", 65534, 65534)
    done = subprocess.run(  # root without what lets it pass everywhere
        [setpriv, "--bounding-set=-all", "--inh-caps=-all", command, *words.split()],
        env={**os.environ, "OFFLOAD_HOME": str(tmp_path / "theirs" / "home")},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == (125 if words.startswith("run") else 3)
    assert str(tmp_path / "theirs" / "home") in done.stderr
    assert "internal error" not in done.stderr
    assert "OFFLOAD_HOME" in done.stderr or "OFFLOAD_SAFE" in done.stderr
