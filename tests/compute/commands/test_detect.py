"""Which words of a command name inputs."""

from __future__ import annotations

from pathlib import Path

import pytest

from offload.commands.planning.detect import detect, is_system


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "up.txt").touch()
    path = tmp_path / "work"
    (path / "dir" / "sub").mkdir(parents=True)
    for name in ("a.txt", "b.txt", "with space.txt", "dir/x.csv", "tool", "K=V"):
        (path / name).touch()
    monkeypatch.chdir(path)
    return path


@pytest.mark.parametrize(
    ("argv", "found"),
    [
        (["sort", "a.txt"], ["a.txt"]),
        (["sort", "./a.txt", "a.txt", "a.txt"], ["./a.txt", "a.txt"]),
        (["sort", "missing.txt", "-r", ""], []),
        (["cat", "../up.txt", "dir/x.csv"], ["../up.txt", "dir/x.csv"]),
        (["find", "dir", "-name", "*.csv"], ["dir"]),
        (["tool", "--in=a.txt", "if=b.txt", "--x=missing"], ["a.txt", "b.txt"]),
        (["tool", "K=V"], ["K=V"]),
        (["./tool"], ["./tool"]),
        (["tool"], []),
        (["cat", "/etc/hostname", "/dev/null", "/"], []),
        (["echo", "with space.txt"], ["with space.txt"]),
        (["sh", "-c", "sort a.txt|uniq>out;cat<b.txt"], ["a.txt", "b.txt"]),
        (["sh", "-c", 'cat "with space.txt"; (cd dir && ls)'], ["dir", "with space.txt"]),
        (["sh", "-c", "cat 'a.txt'\ncat `echo b.txt`"], ["a.txt", "b.txt"]),
        (["bash", "-euo", "pipefail", "-c", "cat a.txt"], ["a.txt"]),
        (["sh", "-ec", 'cat "$1"', "_", "a.txt"], ["a.txt"]),
        (["env", "X=1", "/bin/sh", "-c", "X=a.txt cat dir/*.csv ?.txt"], ["a.txt", "dir/x.csv", "b.txt"]),
        (["sh", "-c", "cat a.txt > b.txt; prog 2>dir/x.csv"], ["a.txt"]),
        (["sh", "-c", "prog > 'dir/'$1.txt; prog > \"dir/$1\""], []),
        (["sh", "-c", "prog >> a.txt; prog <> b.txt"], ["a.txt", "b.txt"]),
        (["sh", "tool", "a.txt"], ["tool", "a.txt"]),
        (["python", "-c", "open('a.txt')"], []),
        (["cat", "a\0b"], []),
    ],
)
def test_words(argv: list[str], found: list[str]) -> None:
    assert detect(argv) == found


def test_outputs_and_what_is_in_them_are_no_inputs() -> None:
    argv = ["sh", "-c", "cat a.txt > b.txt; ls dir/sub dir/x.csv"]
    assert detect(argv, ["b.txt", "dir"]) == ["a.txt"]


@pytest.mark.parametrize("text", ['"$1"{}', "${{D}}{}", "$(pwd){}", "`pwd`{}", "'d e'{}", 'd"{}"', '"$D""{}"'])
def test_the_end_of_a_word_is_no_absolute_path(work: Path, text: str) -> None:
    assert detect(["sh", "-c", "ls " + text.format(work)]) == []
    assert not [word for word in detect(["sh", "-c", "ls " + text.format("/*")]) if word[0] == "/"]


@pytest.mark.parametrize(
    "text", ["'{}'", '"{}"', "X={}", 'X="{}"', "<{}", "`{}`", "$({})", "ls|{}", "{{{},x}}", "'a' '{}'"]
)
def test_absolute_paths_in_program_texts(work: Path, text: str) -> None:
    assert detect(["sh", "-c", "ls " + text.format(work)]) == [str(work)]


def test_absolute_paths_outside_the_system(work: Path) -> None:
    assert detect(["cat", str(work / "a.txt")]) == [str(work / "a.txt")]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/usr/share/x", True),
        ("/usr", True),
        ("/etc/", True),
        ("/", True),
        ("/tmp", True),
        ("/tmp/x", False),
        ("/home/me/x", False),
        ("/usrlocal", False),
        ("/data", False),
    ],
)
def test_the_system(path: str, expected: bool) -> None:
    assert is_system(path) is expected
