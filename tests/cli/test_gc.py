"""``offload gc``."""

from __future__ import annotations

import json
import os
import pty
import sqlite3
import subprocess
import time
from pathlib import Path
from random import Random

import pytest
from dask.utils import parse_bytes

from offload.errors import UsageError
from offload.identity.checksums import checksum
from offload.registry.session import current
from offload.util.units import parse_size
from tests.cli.conftest import Inside
from tests.conftest import Offload


@pytest.mark.parametrize(
    "text", ["0", "1000", "5 kB", "5.4kB", "10GB", "10 gb", "1.5GiB", "3MiB", "2k", "2Ki", "1e6", "7B", ".5 MB", "1 TB"]
)
def test_sizes_are_those_of_dask(text: str) -> None:
    assert parse_size(text) == parse_bytes(text)


@pytest.mark.parametrize("text", ["", "GB", "-5", "10XB", "nan", "1 i", "ten"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError, match="not a size"):
        parse_size(text)


def put(*sizes: int) -> list[str]:
    """Put buffers, the first used longest ago."""
    checksums = []
    for number, size in enumerate(sizes):
        checksums += current().store.put([Random(number).randbytes(size)])
        time.sleep(0.002)
    return checksums


def test_the_longest_unused_go_first(offload: Offload, home: Path) -> None:
    checksums = put(100_000, 50_000, 200_000)
    done = offload("gc", "--max-size", "250kB", "--dry-run")
    assert done.stdout.splitlines()[1:] == [b"would remove 1 buffer, 100.0 kB", b"would keep 2 buffers, 250.0 kB"]
    assert done.stdout.decode().splitlines()[0].split() == [checksums[0][:12], "100.0", "kB"]
    assert current().store.has(checksums) == [True] * 3
    done = offload("gc", "--max-size", "250kB")
    assert (done.returncode, done.stdout) == (0, b"removed 1 buffer, 100.0 kB\nkept 2 buffers, 250.0 kB\n")
    assert current().store.has(checksums) == [False, True, True]
    assert offload("gc", "--max-size", "0").stdout == b"removed 2 buffers, 250.0 kB\nkept 0 buffers, 0 bytes\n"


def test_small_results_stay_when_a_large_one_does_not_fit(inside: Inside) -> None:
    for number in range(3):
        inside("run", "--", "echo", str(number))
    inside("run", "--", "sh", "-c", "yes | head -c 1000000")
    lines = inside("gc", "--max-size", "100kB", "--dry-run").stdout.decode().splitlines()
    assert lines[0].endswith("1.0 MB  sh -c 'yes | head -c 1000000'")
    assert lines[1] == "would remove 1 buffer, 1.0 MB"
    told = json.loads(inside("gc", "--max-size", "100kB", "--dry-run", "--json").stdout)
    assert [one["bytes"] for one in told["largest"]] == [1_000_000]
    assert inside("gc", "--max-size", "100kB").stdout.startswith(b"removed 1 buffer, 1.0 MB\n")
    for number in range(3):
        assert b"recalled" in inside("run", "--", "echo", str(number)).stderr


def execute(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(statement)
    connection.close()


def test_what_took_long_to_compute_stays_before_what_did_not(inside: Inside, home: Path) -> None:
    commands = [f"yes {word} | head -c 100000" for word in ("cheap", "dear", "too")]
    for command in commands:
        inside("run", "--", "sh", "-c", command)
    execute(home / "store" / "index.sqlite", "UPDATE buffer SET used = 0")
    execute(home / "database.sqlite", "UPDATE run SET seconds = CASE id WHEN 2 THEN 1000 ELSE 0 END")
    assert inside("gc", "--max-size", "150kB").stdout.startswith(b"removed ")
    said = [inside("run", "--", "sh", "-c", command).stderr for command in commands]
    assert [b"recalled" in one for one in said] == [False, True, False]


@pytest.mark.parametrize(("answer", "code", "left"), [(b"y\n", 0, 0), (b"n\n", 1, 2)])
def test_a_terminal_is_asked(home: Path, command: Path, answer: bytes, code: int, left: int) -> None:
    put(1000, 2000)
    parent, child = pty.openpty()
    words = [str(command), "gc", "--max-size", "0"]
    process = subprocess.Popen(words, stdin=child, stdout=subprocess.PIPE, stderr=child)
    os.close(child)
    text = b""
    while b"Remove 2 buffers, 3.0 kB? [y/N]" not in text:
        text += os.read(parent, 1000)
    os.write(parent, answer)
    process.communicate(timeout=60)
    os.close(parent)
    assert process.returncode == code
    assert current().store.usage().buffers == left


def test_a_terminal_is_not_asked_when_told_so(home: Path, command: Path) -> None:
    put(1000, 2000)
    parent, child = pty.openpty()
    words = [str(command), "gc", "--max-size", "0", "-y"]
    done = subprocess.run(words, stdin=child, stdout=subprocess.PIPE, stderr=child, timeout=60, check=False)
    os.close(child)
    os.close(parent)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, b"removed 2 buffers, 3.0 kB")


def made_old(home: Path, label: str) -> None:
    statement = f"UPDATE run SET started = 0 WHERE number = (SELECT number FROM transformation WHERE label = '{label}')"
    execute(home / "database.sqlite", statement)


def test_the_history_is_made_shorter(inside: Inside, home: Path) -> None:
    for word in ("old", "lost", "new"):
        inside("run", "--", "echo", word)
    for word in ("old", "lost"):
        made_old(home, f"echo {word}")
    result = json.loads(inside("history", "--text", "lost", "--json").stdout)[0]["result"]
    current().store.delete([result])
    told = b"1 run of the history and 1 result that could not be recalled\n"
    assert inside("gc", "--history", "30d", "--dry-run").stdout.endswith(b"would remove " + told)
    report = json.loads(inside("gc", "--history", "30d", "--dry-run", "--json").stdout)
    assert (report["runs"], report["results"]) == (1, 1)
    assert inside("gc", "--history", "30d").stdout.endswith(b"removed " + told)
    assert [run["label"] for run in json.loads(inside("history", "--json").stdout)] == ["echo new", "echo old"]
    assert b"recalled" in inside("run", "--", "echo", "old").stderr
    assert b"computed" in inside("run", "--", "echo", "lost").stderr
    assert inside("gc", "--history", "soon").returncode == 2


def test_a_database_shrinks(home: Path) -> None:
    from offload.storage.local.database import SqliteDatabase
    from offload.storage.records import Entry

    with SqliteDatabase(str(home / "database.sqlite")) as database:
        records = [b"%d" % number * 1000 for number in range(1000)]
        database.record([Entry(checksum(one), "python", "m:f", None, one, checksum(one)) for one in records])
    before = (home / "database.sqlite").stat().st_size
    with SqliteDatabase(str(home / "database.sqlite")) as database:
        assert database.prune(1.0, lambda checksums: [False] * len(checksums)).runs == 999
    assert before > 2_000_000
    assert (home / "database.sqlite").stat().st_size < 200_000


def test_leased_buffers_stay(inside: Inside, home: Path) -> None:
    checksums = put(1000, 2000)
    with current().store.lease(checksums[:1]):
        lines = inside("gc", "--max-size", "0").stdout.decode().splitlines()
        assert lines[:2] == ["removed 1 buffer, 2.0 kB", "kept 1 buffer, 1.0 kB"]
        assert "a job or a reader holds" in lines[2]
    told = json.loads(inside("gc", "--max-size", "0", "--json").stdout)
    assert told == {
        "buffers": 1,
        "bytes": 1000,
        "kept_buffers": 0,
        "kept_bytes": 0,
        "leased": 0,
        "leftovers": 0,
        "adopted": 0,
        "max_size": 0,
        "dry_run": False,
    }


def test_without_a_size_only_leftovers_go(inside: Inside, home: Path) -> None:
    put(100_000)
    leftover = home / "store" / "tmp" / "abandoned"
    leftover.write_bytes(b"half")
    assert inside("gc").stdout == b"removed 0 buffers, 0 bytes\nkept 1 buffer, 100.0 kB\n"
    assert leftover.exists(), "a running process may be writing it"


def test_leftovers_are_counted(home: Path) -> None:
    from offload.storage.local.store import DirectoryStore

    put(1000)
    (home / "store" / "tmp").mkdir(exist_ok=True)
    (home / "store" / "tmp" / "abandoned").write_bytes(b"half")
    later = DirectoryStore(str(home / "store"), clock=lambda: time.time() + 2 * 86400)
    assert later.collect(10**9, dry_run=True).leftovers == 1
    assert os.listdir(home / "store" / "tmp") == ["abandoned"]
    assert later.collect(10**9).leftovers == 1
    assert os.listdir(home / "store" / "tmp") == []
    later.close()


def test_buffers_that_the_index_lost_are_taken_in_again(inside: Inside, home: Path) -> None:
    [name] = put(100_000)
    execute(home / "store" / "index.sqlite", "DELETE FROM buffer")
    said = b"1 buffer in again, which the index did not know any more\n"
    assert b"would take " + said in inside("gc", "--dry-run").stdout
    assert inside("get", name).returncode == 1
    assert b"took " + said in inside("gc").stdout
    assert len(inside("get", name).stdout) == 100_000


def test_a_disk_that_is_away_changes_nothing(inside: Inside, home: Path) -> None:
    [name] = put(100_000)
    command = ("run", "--", "sh", "-c", "yes | head -c 100000")
    given = inside(*command).stdout
    buffers = home / "store" / "buffers"
    os.rename(buffers, home / "aside")
    buffers.symlink_to("/nonexistent")
    for words in (("get", name), ("gc", "--max-size", "0"), ("gc",), ("status",)):
        done = inside(*words)
        assert (done.returncode, str(buffers).encode() in done.stderr) == (3, True)
    done = inside(*command)
    assert (done.returncode, done.stdout, str(buffers).encode() in done.stderr) == (125, b"", True)
    buffers.unlink()
    os.rename(home / "aside", buffers)
    assert len(inside("get", name).stdout) == 100_000
    done = inside(*command)
    assert (done.stdout, b"recalled" in done.stderr) == (given, True)


def test_a_result_whose_buffers_are_gone_is_computed_again(inside: Inside) -> None:
    inside("run", "--", "echo", "hello")
    inside("gc", "--max-size", "0")
    done = inside("run", "--", "echo", "hello")
    assert (done.stdout, b"computed" in done.stderr) == (b"hello\n", True)


def test_what_is_no_size_is_told(inside: Inside) -> None:
    done = inside("gc", "--max-size", "big")
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"'big' is not a size" in done.stderr
