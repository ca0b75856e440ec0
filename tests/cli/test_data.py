"""``offload put`` and ``offload get``."""

from __future__ import annotations

import json
import os
import subprocess
from hashlib import sha256
from pathlib import Path
from random import Random

import pytest

from offload.identity.directories import TreeEntry, encode_manifest
from offload.registry.session import current
from tests.cli.conftest import Inside
from tests.conftest import Offload

MIB = 1024 * 1024


def checksum(data: bytes) -> str:
    return sha256(data).hexdigest()


def make_tree(root: Path) -> None:
    (root / "below" / "empty").mkdir(parents=True)
    (root / "program").write_text("#!/bin/sh\n")
    (root / "program").chmod(0o755)
    (root / "below" / "words").write_bytes(Random(1).randbytes(100_000))
    (root / "link").symlink_to("below/words")


def test_files_are_put_and_named_as_sha256sum_does(offload: Offload, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"small")
    (tmp_path / "b c").write_bytes(b"x" * 200_000)
    done = offload("put", "a", "-", "b c", input=b"from stdin", cwd=tmp_path)
    expected = f"{checksum(b'small')}  a\n{checksum(b'from stdin')}  -\n{checksum(b'x' * 200_000)}  b c\n"
    assert (done.returncode, done.stdout.decode(), done.stderr) == (0, expected, b"")
    check = subprocess.run(
        ["sha256sum", "-c"], input=b"".join(done.stdout.splitlines(True)[::2]), cwd=tmp_path, check=False
    )
    assert check.returncode == 0


def test_a_name_may_be_any_bytes(offload: Offload, tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    (tmp_path / name).write_bytes(b"1")
    assert offload("put", name, cwd=tmp_path).stdout == checksum(b"1").encode() + b"  caf\xe9\n"
    [told] = json.loads(offload("put", "--json", name, cwd=tmp_path).stdout)
    assert told["name"] == name


def test_buffers_come_back_exactly(offload: Offload, tmp_path: Path) -> None:
    large = Random(2).randbytes(3 * MIB + 17)
    (tmp_path / "large").write_bytes(large)
    (tmp_path / "small").write_bytes(b"\0\xff\r\n")
    offload("put", "large", "small", cwd=tmp_path)
    done = offload("get", checksum(large), checksum(b"\0\xff\r\n")[:6].upper(), checksum(large))
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == large + b"\0\xff\r\n" + large
    assert offload("put", "-", input=b"").stdout.decode() == f"{checksum(b'')}  -\n"
    assert offload("get", checksum(b"")).stdout == b""


def test_a_pipe_is_read_through(offload: Offload, command: Path, tmp_path: Path) -> None:
    script = f"{command} put <(printf piped)"
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=False, timeout=60)
    assert done.stdout.decode().startswith(checksum(b"piped"))
    assert offload("get", checksum(b"piped")).stdout == b"piped"


def test_a_directory_comes_back_as_it_was(inside: Inside, tmp_path: Path) -> None:
    make_tree(tmp_path / "tree")
    [told] = json.loads(inside("put", "--json", "tree/", cwd=tmp_path).stdout)
    assert told == {"name": "tree/", "checksum": told["checksum"], "kind": "directory", "size": 100_010, "files": 2}
    done = inside("get", told["checksum"][:8], "-o", "deep/copy", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [
        {"checksum": told["checksum"], "path": "deep/copy", "kind": "directory", "size": 100_010, "files": 2}
    ]
    copy = tmp_path / "deep" / "copy"
    assert subprocess.run(["diff", "-r", "--no-dereference", "tree", copy], cwd=tmp_path, check=False).returncode == 0
    assert os.access(copy / "program", os.X_OK)
    assert not os.access(copy / "below" / "words", os.X_OK)
    assert os.readlink(copy / "link") == "below/words"
    assert (copy / "below" / "empty").is_dir()
    again = inside("put", copy).stdout
    assert again.startswith(told["checksum"].encode())


def test_where_buffers_are_written(offload: Offload, tmp_path: Path) -> None:
    one, two = (offload("put", "-", input=data).stdout[:64].decode() for data in (b"one", b"two"))
    assert offload("get", one, "-o", "file", cwd=tmp_path).stdout == b""
    assert (tmp_path / "file").read_bytes() == b"one"
    assert offload("get", two, "-o", "file", cwd=tmp_path).returncode == 0
    assert (tmp_path / "file").read_bytes() == b"two"
    assert offload("get", one, two, "-o", "both", cwd=tmp_path).returncode == 0
    assert (tmp_path / "both" / one).read_bytes() + (tmp_path / "both" / two).read_bytes() == b"onetwo"
    (tmp_path / "there").mkdir()
    assert offload("get", one, "-o", "there", cwd=tmp_path).returncode == 0
    assert os.listdir(tmp_path / "there") == [one]
    assert offload("get", one, "-o", "-", cwd=tmp_path).stdout == b"one"
    assert offload("get", one, "-o", "/dev/stdout", cwd=tmp_path).stdout == b"one"
    (tmp_path / "link").symlink_to("file")
    assert offload("get", one, "-o", "link", cwd=tmp_path).returncode == 0
    assert (tmp_path / "file").read_bytes() == b"one"
    assert (tmp_path / "link").is_symlink()


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["get", "abcdef01"], 1, "there is no buffer abcdef01 in the store"),
        (["get", "0" * 64], 1, "there is no buffer " + "0" * 64),
        (["get", "abc"], 2, "too short"),
        (["get", "nothing"], 2, "not a checksum"),
        (["get", "--json", "abcdef01"], 2, "goes with -o"),
        (["get"], 2, "Missing argument"),
        (["put"], 2, "Missing argument"),
        (["put", "nowhere"], 2, "cannot read nowhere: No such file"),
        (["put", "-", "-"], 2, "only once"),
    ],
)
def test_what_is_refused(inside: Inside, words: list[str], code: int, told: str) -> None:
    done = inside(*words)
    assert (done.returncode, done.stdout) == (code, b"")
    assert done.stderr.decode().startswith("offload: ")
    assert told in done.stderr.decode()


def test_one_missing_file_and_nothing_is_put(inside: Inside, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"small")
    assert inside("put", "a", "nowhere", cwd=tmp_path).returncode == 2
    assert inside("get", checksum(b"small")).returncode == 1


def test_places_that_are_none(inside: Inside, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "file").write_bytes(b"1")
    words = [line[:64].decode() for line in inside("put", "file", "tree", cwd=tmp_path).stdout.splitlines()]
    done = inside("get", words[0], "-o", "no/such", cwd=tmp_path)
    assert (done.returncode, b"there is no directory" in done.stderr) == (2, True)
    done = inside("get", words[1], "-o", "file", cwd=tmp_path)
    assert (done.returncode, b"is not a directory" in done.stderr) == (2, True)
    assert (tmp_path / "file").read_bytes() == b"1"


def test_a_transformation_is_no_buffer(inside: Inside) -> None:
    inside("run", "--", "echo", "hello")
    [run] = json.loads(inside("history", "--json").stdout)
    done = inside("get", run["transformation"][:10])
    assert done.returncode == 1
    assert f"its result: offload get {run['result'][:16]}" in done.stderr.decode()


def test_a_file_missing_from_a_directory_is_named(inside: Inside, tmp_path: Path, home: Path) -> None:
    make_tree(tmp_path / "tree")
    manifest = inside("put", "tree", cwd=tmp_path).stdout[:64].decode()
    data = (tmp_path / "tree" / "below" / "words").read_bytes()
    current().store.delete([checksum(data)])
    done = inside("get", manifest, "-o", "copy", cwd=tmp_path)
    assert done.returncode == 1
    assert f"below/words of the directory {manifest[:12]} is not in the store" in done.stderr.decode()
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "a/../../outside", "a//b", "."])
def test_no_directory_reaches_outside_of_itself(inside: Inside, tmp_path: Path, home: Path, name: str) -> None:
    session = current()
    [content] = session.store.put([b"evil"])
    [manifest] = session.store.put([encode_manifest([TreeEntry(name, "file", value=content)])])
    done = inside("get", manifest, "-o", "copy", cwd=tmp_path)
    assert done.returncode == 1
    assert "outside" in done.stderr.decode()
    assert not (tmp_path / "outside").exists()
    assert not (tmp_path / "copy").exists()


def test_corrupt_bytes_are_never_given_back(inside: Inside, tmp_path: Path, home: Path) -> None:
    data = Random(3).randbytes(2 * MIB)
    (tmp_path / "file").write_bytes(data)
    inside("put", "file", cwd=tmp_path)
    place = home / "store" / "buffers" / checksum(data)[:2] / checksum(data)
    place.chmod(0o644)
    with place.open("r+b") as file:
        file.seek(MIB + 5)
        file.write(bytes([data[MIB + 5] ^ 1]))
    done = inside("get", checksum(data))
    assert done.returncode == 1
    assert b"corrupt" in done.stderr
    assert done.stdout == data[:MIB]
    assert inside("get", checksum(data), "-o", "copy", cwd=tmp_path).returncode == 1
    assert not (tmp_path / "copy").exists()


def test_a_reader_that_goes_away_hears_nothing(offload: Offload, command: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(2 * MIB))
    offload("put", "file", cwd=tmp_path)
    script = f"{command} get {checksum(bytes(2 * MIB))} | head -c 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == (b"\x00141\n", b"")
