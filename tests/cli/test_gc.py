"""``offload gc``."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from pathlib import Path
from random import Random

import pytest
from dask.utils import parse_bytes

from offload.cli.quantities import parse_size
from offload.compute.session import current
from offload.errors import UsageError
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
    assert done.stdout == b"would remove 1 buffer, 100.0 kB\nwould keep 2 buffers, 250.0 kB\n"
    assert current().store.has(checksums) == [True] * 3
    done = offload("gc", "--max-size", "250kB")
    assert (done.returncode, done.stdout) == (0, b"removed 1 buffer, 100.0 kB\nkept 2 buffers, 250.0 kB\n")
    assert current().store.has(checksums) == [False, True, True]
    assert offload("gc", "--max-size", "0").stdout == b"removed 2 buffers, 250.0 kB\nkept 0 buffers, 0 bytes\n"


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
    from offload.storage.directory import DirectoryStore

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
    [checksum] = put(100_000)
    index = sqlite3.connect(home / "store" / "index.sqlite", isolation_level=None)
    index.execute("DELETE FROM buffer")
    index.close()
    said = b"1 buffer in again, which the index did not know any more\n"
    assert b"would take " + said in inside("gc", "--dry-run").stdout
    assert inside("get", checksum).returncode == 1
    assert b"took " + said in inside("gc").stdout
    assert len(inside("get", checksum).stdout) == 100_000


def test_a_disk_that_is_away_changes_nothing(inside: Inside, home: Path) -> None:
    [checksum] = put(100_000)
    command = ("run", "--", "sh", "-c", "yes | head -c 100000")
    given = inside(*command).stdout
    buffers = home / "store" / "buffers"
    os.rename(buffers, home / "aside")
    buffers.symlink_to("/nonexistent")
    for words in (("get", checksum), ("gc", "--max-size", "0"), ("gc",)):
        done = inside(*words)
        assert (done.returncode, str(buffers).encode() in done.stderr) == (3, True)
    done = inside(*command)
    assert (done.returncode, done.stdout, str(buffers).encode() in done.stderr) == (125, b"", True)
    buffers.unlink()
    os.rename(home / "aside", buffers)
    assert len(inside("get", checksum).stdout) == 100_000
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
