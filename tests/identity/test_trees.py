"""Manifests of directories."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offload.errors import DecodeError, UsageError
from offload.identity.directories import TreeEntry, TreeLimitError, decode_manifest, encode_manifest, scan
from offload.identity.values.encode import encode


def manifest(root: Path, exclude: tuple[str, ...] = ()) -> bytes:
    tree = scan(str(root), exclude)
    return tree.manifest({path: hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in tree.paths()})


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "sub" / "empty").mkdir(parents=True)
    (root / "a.txt").write_text("a")
    (root / "sub" / "run.sh").write_text("#!/bin/sh\n")
    (root / "sub" / "run.sh").chmod(0o755)
    (root / "link").symlink_to("sub/run.sh")
    return root


def test_what_is_in_it(tree: Path) -> None:
    entries = [(entry.name, entry.kind, entry.executable) for entry in scan(str(tree)).entries]
    assert entries == [
        ("a.txt", "file", False),
        ("link", "symlink", False),
        ("sub", "directory", False),
        ("sub/empty", "directory", False),
        ("sub/run.sh", "file", True),
    ]
    assert scan(str(tree)).size == 1 + len("#!/bin/sh\n")


def test_place_and_time_do_not_count(tree: Path) -> None:
    before = manifest(tree)
    os.utime(tree / "a.txt", (1, 1))
    (tree / "a.txt").chmod(0o600)
    assert manifest(tree.rename(tree.parent / "elsewhere")) == before


@pytest.mark.parametrize(
    "change",
    [
        "echo b > a.txt",
        "mv a.txt b.txt",
        "chmod +x a.txt",
        "rmdir sub/empty",
        "mkdir sub/more",
        "touch .hidden",
        "ln -sf sub link",
        "rm a.txt; ln -s sub/run.sh a.txt",
        "rmdir sub/empty; touch sub/empty",
    ],
)
def test_everything_else_counts(tree: Path, change: str) -> None:
    before = manifest(tree)
    assert os.system(f"cd {tree} && {change}") == 0
    assert manifest(tree) != before


def test_what_is_excluded_does_not_count(tree: Path) -> None:
    before = manifest(tree, ("sub/new", "out"))
    (tree / "out").mkdir()
    (tree / "out" / "x").write_text("x")
    (tree / "sub" / "new").write_text("x")
    assert manifest(tree, ("sub/new", "out")) == before


@pytest.mark.parametrize("target", ["/etc/hostname", "../outside", "sub/../../outside", "self/self/../../outside"])
def test_links_that_lead_outside_are_refused(tree: Path, target: str) -> None:
    (tree / "self").symlink_to(".")
    (tree / "bad").symlink_to(target)
    with pytest.raises(UsageError, match=r"tree/bad is a symbolic link to .*, outside"):
        scan(str(tree))


def test_links_may_dangle_inside(tree: Path) -> None:
    (tree / "later").symlink_to("not-made-yet")
    assert [entry.value for entry in scan(str(tree)).entries if entry.name == "later"] == ["not-made-yet"]


def test_special_files_are_refused_by_name(tree: Path) -> None:
    os.mkfifo(tree / "sub" / "pipe")
    with pytest.raises(UsageError, match="sub/pipe is a named pipe"):
        scan(str(tree))


def test_limits(tree: Path) -> None:
    assert len(scan(str(tree), max_files=2, max_bytes=100).paths()) == 2
    with pytest.raises(TreeLimitError, match="more than 1 files"):
        scan(str(tree), max_files=1)
    with pytest.raises(TreeLimitError, match="more than"):
        scan(str(tree), max_bytes=5)


NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=5)
ENTRIES = st.dictionaries(
    NAMES,
    st.one_of(
        st.builds(
            lambda executable, data: ("file", executable, hashlib.sha256(data).hexdigest()), st.booleans(), st.binary()
        ),
        st.just(("directory", False, "")),
        st.builds(lambda target: ("symlink", False, target), NAMES),
    ),
    max_size=20,
)


@given(ENTRIES)
def test_round_trip(values: dict[str, tuple[str, bool, str]]) -> None:
    entries = [TreeEntry(name, *rest) for name, rest in values.items()]
    data = encode_manifest(entries)
    assert data == encode_manifest(entries[::-1])
    assert {e.name: (e.kind, e.executable, e.value) for e in decode_manifest(data)} == values


@given(ENTRIES, ENTRIES)
def test_different_trees_have_different_manifests(
    one: dict[str, tuple[str, bool, str]], two: dict[str, tuple[str, bool, str]]
) -> None:
    first = encode_manifest([TreeEntry(name, *rest) for name, rest in one.items()])
    second = encode_manifest([TreeEntry(name, *rest) for name, rest in two.items()])
    assert (first == second) == (one == two)


def test_other_buffers_are_no_manifests() -> None:
    with pytest.raises(DecodeError, match="not the manifest"):
        decode_manifest(encode([1, 2]))
    with pytest.raises(DecodeError, match="newer"):
        decode_manifest(encode({"kind": "directory", "version": 99}))
