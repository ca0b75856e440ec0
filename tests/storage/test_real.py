"""The store and the database on real small and read-only file systems, and with many processes that get killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from offload.identity.checksums import checksum
from offload.storage.local.database import SqliteDatabase
from offload.storage.local.store import DirectoryStore
from tests.requirements import requires, requires_program, requires_root

pytestmark = pytest.mark.real

PREFIX = """
import os, sys
from offload.errors import OffloadError
from offload.identity.checksums import checksum
from offload.storage.local.store import DirectoryStore
from offload.storage.home import Home
from offload.storage.local.database import SqliteDatabase
from offload.storage.records import Entry

def entry(text, result):
    return Entry(checksum(text), "python", "module:f", None, text, result)
"""

FULL = """
home = Home(sys.argv[1])
store, database = DirectoryStore(home.store), SqliteDatabase(home.database)
kept = store.put([b"kept", b"k" * 100_000])
database.record([entry(b"kept", kept[0])])

def failure(call, *arguments):
    try:
        call(*arguments)
    except OffloadError as error:
        return type(error).__name__
    return "none"

print(failure(store.put, [os.urandom(5_000_000)]))
print(failure(store.put_stream, [os.urandom(100_000)] * 50))
print(failure(store.put, [os.urandom(60_000) for _ in range(60)]))
print(failure(database.record, [entry(b"%d" % i * 10_000, kept[0]) for i in range(150)]))
print(os.listdir(home.store + "/tmp"), len(store.get(kept)), database.statistics()["runs"])
print(store.get(kept) == [b"kept", b"k" * 100_000], database.lookup([checksum(b"kept")]) == kept[:1])
store.collect(10)
print(store.put([b"after"] * 1) == [checksum(b"after")], database.record([entry(b"after", kept[0])]))
store.close(), database.close()
print(DirectoryStore(home.store).get(kept[:1]), SqliteDatabase(home.database).lookup([checksum(b"after")]) == kept[:1])
"""


def in_own_mounts(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a shell script that may mount what it likes; skip where that is not allowed."""
    requires_root()
    requires_program("unshare")
    allowed = subprocess.run(
        ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False
    )
    requires(allowed.returncode == 0, "needs to be allowed to mount")
    return subprocess.run(
        ["unshare", "-m", "sh", "-ec", script, "sh", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_disk_that_is_full(tmp_path: Path) -> None:
    ended = in_own_mounts(
        'mount -t tmpfs -o size=2m tmpfs "$1"; exec "$2" -c "$3" "$1/home"', tmp_path, sys.executable, PREFIX + FULL
    )
    assert ended.stderr == ""
    assert ended.stdout.splitlines() == [
        "DiskFullError",
        "DiskFullError",
        "DiskFullError",
        "DiskFullError",
        "[] 2 1",
        "True True",
        "True ['recorded']",
        "[b'kept'] True",
    ]


COLLECTED_WHEN_FULL = """
import subprocess
home = Home(sys.argv[1] + "/home")
with DirectoryStore(home.store) as store:
    names = store.put([os.urandom(2_000_000) for _ in range(3)])
database = SqliteDatabase(home.database)
database.record([entry(b"kept", names[0])])
database.close()
with DirectoryStore(home.store) as store:
    try:
        while True:
            store.put([os.urandom({"large": 2_000_000, "small": 20_000}[sys.argv[2]])])
    except OffloadError as error:
        print(type(error).__name__)
with open(sys.argv[1] + "/other", "wb", buffering=0) as file:
    try:
        while True:
            file.write(bytes(512))
    except OSError:
        pass
print(os.statvfs(sys.argv[1]).f_bavail)
store = DirectoryStore(home.store)
store.collect(10_000_000, dry_run=True)
collected = store.collect(10_000_000, costs=SqliteDatabase(home.database).costs)
print(collected.buffers > 0, collected.kept_bytes <= 10_000_000)
print(os.path.getsize(home.store + "/reserve") >= 256 * 1024)
print(store.put([b"after"]) == [checksum(b"after")], store.usage().bytes == collected.kept_bytes + 5)
"""


@pytest.mark.parametrize("kind", ["large", "small"])
def test_what_is_on_a_full_disk_can_be_removed(tmp_path: Path, kind: str) -> None:
    ended = in_own_mounts(
        'mount -t tmpfs -o size=48m tmpfs "$1"; exec "$2" -c "$3" "$1" "$4"',
        tmp_path,
        sys.executable,
        PREFIX + COLLECTED_WHEN_FULL,
        kind,
    )
    assert ended.stderr == ""
    assert ended.stdout.splitlines() == ["DiskFullError", "0", "True True", "True", "True True"]


OPENED_WHEN_FULL = """
home = Home(sys.argv[1] + "/home")
with DirectoryStore(home.store) as store:
    names = store.put([b"kept"])
with open(sys.argv[1] + "/other", "wb", buffering=0) as file:
    try:
        while True:
            file.write(bytes(4096))
    except OSError:
        pass
for call in (lambda: DirectoryStore(home.store).get(names), lambda: Home(sys.argv[1] + "/home2")):
    try:
        print(call())
    except OffloadError as error:
        print(type(error).__name__, error.hint is not None)
os.unlink(sys.argv[1] + "/other")
print(DirectoryStore(home.store).get(names))
"""


def test_a_disk_that_others_have_filled(tmp_path: Path) -> None:
    ended = in_own_mounts(
        'mount -t tmpfs -o size=2m tmpfs "$1"; exec "$2" -c "$3" "$1"',
        tmp_path,
        sys.executable,
        PREFIX + OPENED_WHEN_FULL,
    )
    assert ended.stderr == ""
    assert ended.stdout.splitlines() == ["DiskFullError True", "DiskFullError True", "[b'kept']"]


READ_ONLY = """
home = Home(sys.argv[1])
store, database = DirectoryStore(home.store), SqliteDatabase(home.database)
names = [checksum(b"small"), checksum(b"l" * 100_000)]
print(store.get(names) == [b"small", b"l" * 100_000], database.lookup([checksum(b"known")]) == names[:1])
with store.open(names[1]) as reader:
    print(len(reader.read()))
for call, values in ((store.put, [b"new"]), (store.put, [bytes(100_000)]), (database.record, [entry(b"x", "")])):
    try:
        call(values)
    except OffloadError as error:
        print(type(error).__name__)
"""


def test_a_home_that_cannot_be_written_can_be_read(tmp_path: Path) -> None:
    home = tmp_path / "home"
    prepare = (
        "home = Home(sys.argv[1])\n"
        "with DirectoryStore(home.store, clock=lambda: 1.0) as store, SqliteDatabase(home.database) as database:\n"
        "    names = store.put([b'small', b'l' * 100_000])\n"
        "    database.record([entry(b'known', names[0])])\n"
    )
    subprocess.run([sys.executable, "-c", PREFIX + prepare, home], check=True, timeout=60)
    ended = in_own_mounts(
        'mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"; exec "$2" -c "$3" "$1"',
        home,
        sys.executable,
        PREFIX + READ_ONLY,
    )
    assert ended.stderr == ""
    assert ended.stdout.splitlines() == ["True True", "100000", *["NotWritableError"] * 3]


WORKER = """
import random
home = Home(sys.argv[1])
worker = int(sys.argv[2])
store, database = DirectoryStore(home.store), SqliteDatabase(home.database)
log = open(sys.argv[3], "a", buffering=1)
chance = random.Random(worker)
while True:
    number = chance.randrange(1, 400)
    transformation = b"transformation %d" % number
    result = b"result %d " % number * (20_000 if number % 7 == 0 else 10)
    [known] = database.lookup([checksum(transformation)])
    if known is not None:
        [data] = store.get([known])
        if data != result:
            print("WRONG", number, known, data and data[:20], flush=True)
        continue
    names = store.put([result, b"private %d %d" % (worker, number)])
    [outcome] = database.record([entry(transformation, names[0])])
    if outcome == "irreproducible":
        print("WRONG", number, outcome, flush=True)
    log.write(f"{number}\\n")
    if number % 50 == 0:
        database.forget([checksum(transformation)])
    if number % 90 == 0:
        with store.lease(names):
            store.collect(10**9)
"""


def start(home: Path, worker: int, log: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PREFIX + WORKER, home, str(worker), log],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_sixteen_processes_killed_at_random(tmp_path: Path) -> None:
    home = tmp_path / "home"
    chance = random.Random(0)
    processes = [start(home, worker, tmp_path / f"log{worker}") for worker in range(16)]
    killed = 16
    outputs = []
    end = time.monotonic() + 10
    while time.monotonic() < end:
        time.sleep(0.1)
        victim = processes.pop(chance.randrange(16))
        victim.send_signal(signal.SIGKILL)
        outputs.append(victim.communicate(timeout=60))
        processes.append(start(home, killed, tmp_path / f"log{killed}"))
        killed += 1
    for process in processes:
        process.send_signal(signal.SIGKILL)
        outputs.append(process.communicate(timeout=60))
    assert [output for output in outputs if output != ("", "")] == []

    recorded = {int(line) for log in tmp_path.glob("log*") for line in log.read_text().splitlines()}
    assert len(recorded) > 300
    with DirectoryStore(str(home / "store")) as store, SqliteDatabase(str(home / "database.sqlite")) as database:
        for number in sorted(recorded):
            [known] = database.lookup([checksum(b"transformation %d" % number)])
            if number % 50 == 0 and known is None:
                continue
            result = b"result %d " % number * (20_000 if number % 7 == 0 else 10)
            assert known == checksum(result), number
            assert store.get([known]) == [result], number
        assert store.usage().corrupt == 0
        assert store._index.file.query("PRAGMA integrity_check") == [("ok",)]
        assert database._file.query("PRAGMA integrity_check") == [("ok",)]
        assert store.collect(10**9).leased == 0
        assert store._index.file.query("SELECT count(*) FROM holder") == [(0,)]
    assert len(os.listdir(home / "store" / "tmp")) < killed


COLLECTED = """
import time
home = Home(sys.argv[1])
store = DirectoryStore(home.store, sync=False)
end = time.monotonic() + 5
rounds = 0
while time.monotonic() < end:
    rounds += 1
    if sys.argv[2] == "collect":
        store.collect(0)
        continue
    # All processes put the same few buffers, so that one removes what another is just putting.
    number = rounds % 5
    buffers = [b"small %d" % number, b"large %d" % number * 20_000]
    with store.lease([checksum(buffer) for buffer in buffers]):
        names = store.put(buffers)
        store.put(buffers)
        if store.get(names) != buffers:
            print("WRONG", [data and data[:10] for data in store.get(names)], flush=True)
        with store.open(names[1]) as reader:
            reader.read()
print(sys.argv[2], rounds > 5)
"""


def test_what_is_leased_is_never_collected(tmp_path: Path) -> None:
    roles = ["put"] * 4 + ["collect"] * 2
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PREFIX + COLLECTED, tmp_path / "home", role],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for role in roles
    ]
    outputs = [process.communicate(timeout=60) for process in processes]
    assert outputs == [(f"{role} True\n", "") for role in roles]
    with DirectoryStore(str(tmp_path / "home" / "store")) as store:
        store.collect(0)
        assert store.usage().buffers == 0
        assert not list((tmp_path / "home" / "store").glob("buffers/*/*"))
