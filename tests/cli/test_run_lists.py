"""``offload run`` of many commands: several lists, columns, null characters; logs, retries and limits of time."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from offload.cli.progress import Progress

if TYPE_CHECKING:
    from tests.conftest import Offload


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "work"
    path.mkdir()
    monkeypatch.chdir(path)
    (path / "lines").write_text("a.x,1\nb.x,2\n")
    (path / "null").write_bytes(b"one\0two words\0three\nlines\0")
    return path


@pytest.mark.parametrize(
    ("words", "out"),
    [
        (["--", "echo", "{2}{1.}", ":::", "a.x", "b.x", ":::", "1", "2"], "1a 2a 1b 2b"),
        (["--", "echo", ":::", "a", "b", ":::", "1"], "a 1/b 1"),
        (["--", "echo", "{1}-{2}-{3}", ":::", "a", "b", ":::+", "1", "2", ":::", "x", "y"], "a-1-x a-1-y b-2-x b-2-y"),
        (["--each", "lines", "--", "echo", "{2}={1}", ":::", "z"], "z=a.x,1 z=b.x,2"),
        (["--", "echo", "{1}", "{2}", "::::", "lines", ":::+", "p", "q"], "a.x,1 p/b.x,2 q"),
        (["--each", "lines", "--colsep", ",", "--", "echo", "{2}{1.}-{#}"], "1a-1 2b-2"),
        (["--colsep", "[,.]", "--", "sh", "-c", "echo $#", "_", "::::", "lines"], "3 3"),
        (["-0", "--each", "null", "--", "echo", "-n", "<{}>"], "<one><two words><three\nlines>"),
        (["--null", "--", "echo", "{#}", "::::", "null"], "1 2 3"),
        (["--var", "V={2}", "--", "sh", "-c", "echo $V''{1}", ":::", "a", ":::", "1", "2"], "1a 2a"),
        (["--", "echo", "x{2}", ":::", "a"], "x{2} a/"),
    ],
)
def test_lists_and_columns(offload: Offload, work: Path, words: list[str], out: str) -> None:
    done = offload("run", *words)
    assert done.returncode == 0, done.stderr
    separator = "/" if "/" in out else " "
    expected = out if "<" in out else "".join(f"{line}\n" for line in out.rstrip("/").split(separator))
    assert done.stdout.decode() == expected
    assert offload("run", *words).stdout == done.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--each", "null", "--", "echo"], b"there are null characters between the arguments"),
        (["--", "echo", ":::+", "a"], b":::+ goes along with the list before it"),
        (["--", "echo", ":::", "a", "b", ":::+", "1"], b"the list after :::+ has 1 argument, and"),
        (["--", "echo", "::::"], b":::: needs the name of a file"),
        (["--", "echo", "::::", "missing"], b":::: missing: No such file"),
        (["--colsep", "(", "--each", "lines", "--", "echo"], b"not a pattern"),
        (["--colsep", "x*", "--each", "lines", "--", "echo"], b"matches nothing at all"),
        (["--colsep", "b", "--each", "lines", "--", "echo"], b"has 1 of 2 columns"),
        (["--retries", "x", "--each", "lines", "--", "echo"], b"--retries x: not a number"),
        (["--timeout", "soon", "--", "echo"], b"'soon' is no length of time"),
        (["--joblog", "no/such", "--each", "lines", "--", "echo"], b"--joblog no/such: No such file"),
        (["--joblog", "log", "--", "echo"], b"--joblog goes with --each"),
        (["-0", "--", "echo"], b"--null goes with --each"),
    ],
)
def test_usage_errors(offload: Offload, work: Path, words: list[str], told: bytes) -> None:
    done = offload("run", *words)
    assert (done.returncode, done.stdout) == (125, b"")
    assert told in done.stderr


def test_a_pattern_that_matches_nothing_is_told(offload: Offload, work: Path) -> None:
    assert b"no file here matches *.zip" in offload("run", "--", "echo", ":::", "*.zip").stderr
    assert b"no file here" not in offload("run", "--", "echo", ":::", "[a", "b").stderr


def rows(path: Path) -> list[list[str]]:
    return [line.split("\t") for line in path.read_text().splitlines()]


def test_a_log_of_jobs(offload: Offload, work: Path) -> None:
    words = ["--", "sh", "-c", "echo $1; [ $1 -lt 200 ] && exit $1; kill -9 $$", "_", ":::", "0", "3", "999"]
    offload("run", "--", *words[1:5], "0")
    assert offload("run", "--joblog", "log", *words).returncode == 1
    header, *lines = rows(work / "log")
    assert header == "Seq Host Starttime JobRuntime Send Receive Exitval Signal Command".split()
    assert [[line[0], line[1], *line[5:8]] for line in lines] == [
        ["1", "recalled", "0", "0", "0"],
        ["2", ":", "2", "3", "0"],
        ["3", ":", "4", "0", "9"],
    ]
    assert all(float(line[2]) > 10**9 and float(line[3]) >= 0 for line in lines)
    assert lines[1][8].endswith(" _ 3")
    offload("run", "--joblog", "+log", "--", "echo", ":::", "more")
    assert len(rows(work / "log")) == 5
    offload("run", "--joblog", "log", "--", "echo", ":::", "more")
    assert [line[1] for line in rows(work / "log")] == ["Host", "recalled"]


def test_what_fails_is_run_again(offload: Offload, work: Path, tmp_path: Path) -> None:
    """Up to so many times, and what it wrote in vain is not given back."""
    text = "echo x >> $P/$1; echo try $(wc -l < $P/$1); [ $(wc -l < $P/$1) -ge $1 ]"
    words = ["--var", f"P={tmp_path}", "--no-detect", "--", "sh", "-c", text, "_", ":::", "1", "2", "3", "4", "5"]
    done = offload("run", "--retries", "2", "-j", "3", *words)
    assert done.returncode == 1
    assert done.stdout == b"try 1\ntry 2\ntry 3\ntry 3\ntry 3\n"
    assert b"3 computed, 2 failed" in done.stderr
    assert [len((tmp_path / name).read_text().split()) for name in "12345"] == [1, 2, 3, 3, 3]
    done = offload("run", "--retries", "1", *words)
    assert b"3 recalled, 2 computed" in done.stderr


def test_a_limit_of_time(offload: Offload, work: Path, tmp_path: Path) -> None:
    text = "trap 'exit 0' TERM; echo begun; echo $$ > $P/$1.pid; sleep $1 & wait"
    options = ["--timeout", "1s", "--var", f"P={tmp_path}", "--no-detect", "--", "sh", "-c", text, "_"]
    done = offload("run", *options, "300")
    assert (done.returncode, done.stdout) == (124, b"begun\n")
    assert b"timed out after" in done.stderr
    done = offload("run", *options, ":::", "0", "301")
    assert done.returncode == 1
    assert b"1 computed, 1 failed" in done.stderr
    assert b"failed (timed out): 301" in done.stderr
    for name in ("300", "301"):
        assert not Path(f"/proc/{(tmp_path / f'{name}.pid').read_text().strip()}").exists()
    without = [word for word in options if word not in ("--timeout", "1s")]
    assert b"recalled" in offload("run", *without, "0").stderr, "the limit is no part of what counts"


def test_the_time_left_is_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    progress = Progress(1110, shown=True)
    progress.counts = {"recalled": 1000, "computed": 2}
    now += 20
    assert progress.left() == ""
    progress.counts["computed"] = 10
    assert progress.left() == ", about 3 min 20 s left"
    progress.counts["computed"] = 110
    assert progress.left() == ""
