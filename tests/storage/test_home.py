from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from offload.errors import DamagedError, NotWritableError, StorageError
from offload.storage.home import Home, checked_home, home_path


def test_where_the_home_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("OFFLOAD_HOME", "~/elsewhere")
    assert home_path() == "/home/me/elsewhere"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OFFLOAD_HOME", "relative")
    assert home_path() == str(tmp_path / "relative")
    monkeypatch.setenv("OFFLOAD_HOME", "")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert home_path() == "/data/offload"
    monkeypatch.setenv("XDG_DATA_HOME", "not/absolute")
    assert home_path() == "/home/me/.local/share/offload"
    monkeypatch.delenv("XDG_DATA_HOME")
    assert home_path() == "/home/me/.local/share/offload"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert home_path() == "/home/me/Library/Application Support/offload"


def test_a_home_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "home"
    home = Home(str(path))
    assert (home.path, home.store) == (str(path), str(path / "store"))
    assert (path / "FORMAT").read_text() == "offload home 1\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    before = (path / "FORMAT").stat()
    Home(str(path))
    assert (path / "FORMAT").stat().st_ino == before.st_ino
    assert os.listdir(path) == ["FORMAT"]


def test_an_empty_directory_becomes_a_home(tmp_path: Path) -> None:
    Home(str(tmp_path))
    assert os.listdir(tmp_path) == ["FORMAT"]


def test_what_another_process_left_half_made_becomes_a_home(tmp_path: Path) -> None:
    (tmp_path / ".FORMAT-1-abcd").write_text("")
    Home(str(tmp_path))
    assert (tmp_path / "FORMAT").exists()


def test_software_that_was_brought_before_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "environments").mkdir()
    Home(str(tmp_path))
    assert sorted(os.listdir(tmp_path)) == ["FORMAT", "environments"]


def test_the_user_home_is_the_default(home: Path) -> None:
    assert Home().path == str(home)
    assert (home / "FORMAT").exists()


def test_a_directory_with_other_contents_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("words")
    with pytest.raises(DamagedError, match=r"not an offload home.*thesis\.txt"):
        Home(str(tmp_path))
    assert os.listdir(tmp_path) == ["thesis.txt"]


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "FORMAT").write_text("offload home 2\n")
    with pytest.raises(StorageError, match="newer offload") as caught:
        Home(str(tmp_path))
    assert "update" in (caught.value.hint or "")


def test_a_format_that_is_a_directory(tmp_path: Path) -> None:
    (tmp_path / "FORMAT").mkdir()
    with pytest.raises(DamagedError, match="FORMAT does not say") as caught:
        Home(str(tmp_path))
    assert "OFFLOAD_HOME" in (caught.value.hint or "")


def test_looking_makes_nothing(home: Path) -> None:
    assert checked_home() == str(home)
    assert not home.exists()
    home.write_text("a file")
    with pytest.raises(StorageError, match="is not a directory"):
        checked_home()


@pytest.mark.parametrize("text", [b"", b"something", b"offload home x", b"\xff\xfe"])
def test_a_format_file_that_is_something_else(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "FORMAT").write_bytes(text)
    with pytest.raises(DamagedError, match="FORMAT"):
        Home(str(tmp_path))


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="is not a directory"):
        Home(str(tmp_path / "file"))
    with pytest.raises(StorageError, match="is not a directory"):
        Home(str(tmp_path / "file" / "home"))
    with pytest.raises(StorageError, match="is not a directory"):
        Home(str(tmp_path / "file" / "deep" / "home"))


def test_a_place_that_cannot_be_written() -> None:
    with pytest.raises((NotWritableError, StorageError)) as caught:
        Home("/proc/offload-home")
    assert caught.value.exit_code == 3
    assert "OFFLOAD_HOME" in (caught.value.hint or "")


def test_many_processes_make_one_home(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from offload.storage.home import Home\n"
        "from offload.storage.local.store import DirectoryStore\n"
        "from offload.storage.local.database import SqliteDatabase\n"
        "home = Home(sys.argv[1])\n"
        "[name] = DirectoryStore(home.store).put([b'shared'])\n"
        "print(name, SqliteDatabase(home.database).statistics()['runs'])\n"
    )
    path = tmp_path / "deep" / "home"
    started = [
        subprocess.Popen([sys.executable, "-c", program, path], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(8)
    ]
    ended = [process.communicate(timeout=60) for process in started]
    assert {errors for _, errors in ended} == {b""}
    assert len({output for output, _ in ended}) == 1
    assert not [name for name in os.listdir(path) if name.startswith(".")]
