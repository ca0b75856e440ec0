"""``offload history``."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from offload.registry.session import current
from offload.storage.local import failures as failurelog
from tests.cli.conftest import Inside
from tests.conftest import Offload

AREA = """
import offload

@offload.task
def area(radius, pi=3):
    return pi * radius**2

print(area(2), area(2.5))
"""


def runs(inside: Inside, *words: str) -> list[Any]:
    done = inside("history", "--json", *words)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, list)
    return found


def run_python(tmp_path: Path, text: str) -> None:
    (tmp_path / "shapes.py").write_text(text)
    subprocess.run([sys.executable, "shapes.py"], cwd=tmp_path, check=True, capture_output=True, timeout=60)


def test_nothing_yet(inside: Inside) -> None:
    done = inside("history")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"offload: no runs\n")
    assert runs(inside) == []


def test_runs_are_listed_newest_first_and_recalls_are_none(offload: Offload) -> None:
    offload("run", "--", "echo", "first")
    offload("run", "--", "echo", "second")
    offload("run", "--", "echo", "first")
    lines = offload("history").stdout.decode().splitlines()
    assert lines[0].split() == ["STARTED", "TOOK", "CPU", "MEMORY", "KIND", "OUTCOME", "CHECKSUM", "WHAT"]
    assert [line.split("  ")[-1] for line in lines[1:]] == ["echo second", "echo first"]
    assert len({line.index("echo") for line in lines[1:]}) == 1
    newest = runs(offload)[0]
    assert newest["transformation"][:12] in lines[1]
    assert "command  recorded" in lines[1]


GREEDY = "held = bytearray(90_000_000); print(sum(range(2_000_000)))"


def test_what_commands_used(inside: Inside, offload: Offload, tmp_path: Path) -> None:
    (tmp_path / "list").write_text("1\n2\n")
    inside("run", "--", sys.executable, "-c", GREEDY, cwd=tmp_path)
    offload("run", "--each", str(tmp_path / "list"), "--", sys.executable, "-c", GREEDY)
    inside("run", "--", sys.executable, "-c", GREEDY + "; exit(3)", cwd=tmp_path)
    [failure] = json.loads(inside("history", "--failed", "--json").stdout)
    found = [*runs(inside), failure]
    assert len(found) == 4
    for one in found:
        assert 0 < one["cpu_seconds"] < 60
        assert 90_000_000 < one["peak_memory_bytes"] < 2_000_000_000
    first = found[2]["transformation"]
    [run] = json.loads(inside("history", first, "--json").stdout)["runs"]
    assert run["peak_memory_bytes"] == found[2]["peak_memory_bytes"]
    for words in (["history"], ["history", first], ["history", "--failed"]):
        lines = inside(*words).stdout.decode().splitlines()
        assert any({"CPU", "MEMORY"} <= set(line.split()) for line in lines)
        assert any(" MB " in line for line in lines)
    told = f"s of processor time, and at most {found[2]['peak_memory_bytes'] / 1e6:.1f} MB of memory"
    assert told in inside("why", first).stdout.decode()
    assert told in inside("why", "--", sys.executable, "-c", GREEDY, cwd=tmp_path).stdout.decode()
    assert json.loads(inside("why", "--json", first).stdout)["used"]["cpu_seconds"] == found[2]["cpu_seconds"]


def test_calls_show_their_arguments(inside: Inside, tmp_path: Path) -> None:
    run_python(tmp_path, AREA)
    lines = inside("history").stdout.decode().splitlines()
    assert [line.split("  ")[-1] for line in lines[1:]] == [
        "__main__:area(radius=2.5, pi=3)",
        "__main__:area(radius=2, pi=3)",
    ]


def test_runs_are_chosen(inside: Inside, tmp_path: Path) -> None:
    run_python(tmp_path, AREA)
    inside("run", "--", "echo", "Hello")
    inside("run", "--", "true")

    def labels(*words: str) -> list[str]:
        return [run["label"] for run in runs(inside, *words)]

    assert labels() == ["true", "echo Hello", "__main__:area", "__main__:area"]
    assert labels("--kind", "python") == ["__main__:area"] * 2
    assert labels("--label", "true") == ["true"]
    assert labels("--label", "echo*") == ["echo Hello"]
    assert labels("--text", "hell") == ["echo Hello"]
    assert labels("-n", "1") == ["true"]
    assert labels("--limit", "2", "--kind", "python", "--since", "1h") == ["__main__:area"] * 2
    assert labels("--since", "2099-01-01") == []
    assert len(labels("--since", "2020-01-01T12:30")) == 4
    assert b"no such runs" in inside("history", "--text", "nothing of the kind").stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--since", "yesterday"], "'yesterday' is not a time"),
        (["--since", "1y"], "'1y' is not a time"),
        (["--kind", "ruby"], "'ruby' is not one of"),
        (["--limit", "0"], "0 is not in the range"),
        (["xyz"], "'xyz' is not a checksum"),
        (["abc"], "'abc' is too short"),
    ],
)
def test_usage_errors(inside: Inside, words: list[str], told: str) -> None:
    done = inside("history", *words)
    assert (done.returncode, done.stdout) == (2, b"")
    assert told in done.stderr.decode()


def test_all_of_a_command(inside: Inside, tmp_path: Path, home: Path) -> None:
    (tmp_path / "words").write_text("b\na\n")
    script = "sort words | tee sorted; echo noise >&2"
    words = ["run", "--input", "words", "--output", "sorted", "--var", "MODE=x", "--", "sh", "-c", script]
    assert inside(*words, cwd=tmp_path).stdout == b"a\nb\n"
    [run] = runs(inside)
    document = json.loads(inside("history", run["transformation"][:8], "--json").stdout)
    assert document["record"]["argv"] == ["sh", "-c", script]
    assert document["record"]["variables"] == {"MODE": "x"}
    result = document["result"]
    assert (result["checksum"], result["stored"], result["status"]) == (run["result"], True, "complete")
    assert inside("get", result["stdout"]["checksum"]).stdout == b"a\nb\n"
    assert inside("get", result["stderr"]["checksum"]).stdout == b"noise\n"
    assert result["outputs"][0]["path"] == "sorted"
    [only] = document["runs"]
    assert only["details"]["directory"] == os.path.realpath(tmp_path)
    assert {"host", "user", "python", "offload"} <= set(only["details"])

    text = inside("history", run["transformation"]).stdout.decode()
    for part in (run["transformation"], "words  ", "file, 4 bytes", "MODE=x", "/bin/sh", ", stored", "6 bytes"):
        assert part in text
    assert str(os.path.realpath(tmp_path)) in text

    current().store.delete([result["stdout"]["checksum"]])
    assert not json.loads(inside("history", run["transformation"], "--json").stdout)["result"]["stored"]
    assert "not stored any more" in inside("history", run["transformation"]).stdout.decode()
    inside("forget", run["transformation"])
    text = inside("history", run["transformation"]).stdout.decode()
    assert "none: it was forgotten" in text
    assert "recorded, forgotten" in text


def test_all_of_a_call(inside: Inside, tmp_path: Path) -> None:
    run_python(tmp_path, AREA)
    newest = runs(inside)[0]
    text = inside("history", newest["transformation"][:12]).stdout.decode()
    lines = dict(line.split("  ", 1) for line in text.split("\n\n")[0].splitlines())
    assert lines["label"].strip() == "__main__:area"
    assert lines["argument radius"].split()[:2] == ["2.5", "float"]
    assert lines["interpreter"].strip().startswith("cpython-3")
    assert newest["result"] in text
    document = json.loads(inside("history", newest["transformation"], "--json").stdout)
    assert set(document["record"]["arguments"]) == {"radius", "pi"}
    assert document["result"]["stored"] is True


def test_what_is_not_there(inside: Inside) -> None:
    inside("run", "--", "echo", "hello")
    [run] = runs(inside)
    done = inside("history", "0123456789")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"there is no transformation 0123456789" in done.stderr
    done = inside("history", run["result"])
    assert done.returncode == 1
    assert f"offload history {run['transformation'][:12]}" in done.stderr.decode()


def test_control_characters_are_shown_and_not_obeyed(inside: Inside) -> None:
    inside("run", "--", "printf", "a\nb\x1b[31m")
    lines = inside("history").stdout.splitlines()
    assert len(lines) == 2
    assert lines[1].endswith(rb"printf 'a\nb\x1b[31m'")


@pytest.mark.parametrize("columns", [100, 40])
def test_a_table_in_a_terminal(offload: Offload, command: Path, columns: int) -> None:
    offload("run", "--", "echo", "[bold]", *["word"] * 40)
    parent, child = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm"}
    process = subprocess.Popen([command, "history"], stdin=child, stdout=child, stderr=child, env=environment)
    os.close(child)
    text = b""
    while True:
        try:
            chunk = os.read(parent, 4096)
        except OSError:
            break
        if not chunk:
            break
        text += chunk
    assert process.wait(60) == 0
    os.close(parent)
    row = text.decode().splitlines()[1]
    assert "echo '[bold]'" in row
    assert row.rstrip().endswith("…") is (columns == 100)


def test_filters(inside: Inside, tmp_path: Path) -> None:
    run_python(tmp_path, AREA)
    inside("run", "--", "echo", "x")
    inside("run", "--", "printf", "x")
    assert [run["label"] for run in runs(inside, "--command", "echo *")] == ["echo x"]
    assert [run["label"] for run in runs(inside, "--function", "*:a?ea", "-n", "1")] == ["__main__:area"]
    assert runs(inside, "--function", "area") == []
    assert len(runs(inside, "--host", os.uname().nodename)) == 4
    assert runs(inside, "--host", "elsewhere") == []
    assert runs(inside, "--until", "1h") == []
    assert len(runs(inside, "--since", "1h", "--until", "0s")) == 4
    assert len(runs(inside, "--outcome", "recorded", "--kind", "command")) == 2
    inside("run", "--fresh", "--", "echo", "x")
    assert [run["label"] for run in runs(inside, "--outcome", "same")] == ["echo x"]
    inside("forget", "--label", "printf x")
    assert [run["label"] for run in runs(inside, "--outcome", "forgotten")] == ["printf x"]
    for words in (["--function", "a", "--command", "b"], ["--function", "a", "--kind", "command"]):
        assert inside("history", *words).returncode == 2


def failures(inside: Inside, *words: str) -> list[Any]:
    done = inside("history", "--failed", "--json", *words)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, list)
    return found


def test_what_failed_is_asked_for(inside: Inside, tmp_path: Path, home: Path) -> None:
    assert failures(inside) == []
    assert b"no failures" in inside("history", "--failed").stderr
    assert (
        inside("run", "--", "sh", "-c", "echo first >&2; echo 'the reason\n' >&2; exit 3", cwd=tmp_path).returncode == 3
    )
    assert inside("run", "--output", "made", "--", "true").returncode == 125
    inside("run", "--", "sh", "-c", "exit $1", "_", ":::", "0", "5", "6")
    inside("run", "--", "echo", "well")
    several = failures(inside)
    assert sorted(one["exit_code"] for one in several[:2]) == [5, 6]
    missing, first = several[2:]
    assert missing["exit_code"] is None
    assert "its declared output made is not there" in missing["last_words"]
    assert (first["exit_code"], first["last_words"], first["directory"]) == (
        3,
        "the reason",
        os.path.realpath(tmp_path),
    )
    lines = inside("history", "--failed").stdout.decode().splitlines()
    assert lines[0].split() == ["STARTED", "TOOK", "CPU", "MEMORY", "EXIT", "WHAT", "LAST", "WORDS"]
    assert lines[-1].endswith("the reason")
    assert failures(inside, "--command", "true") == failures(inside, "--label", "tr*") == [missing]
    assert failures(inside, "--text", "FIRST", "--since", "1h", "-n", "1") == [first]
    assert failures(inside, "--until", "1h") == failures(inside, "--host", "elsewhere") == []
    assert b"only failures of commands are kept" in inside("history", "--failed", "--kind", "python").stderr
    assert all("exit_code" not in run for run in runs(inside))
    assert (home / "failures.jsonl").stat().st_mode & 0o777 == 0o600


def test_what_is_kept_of_failures_is_bounded(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where many processes write at once; a line that was cut off is passed over."""
    monkeypatch.setattr(failurelog, "MOST_BYTES", 10_000)
    home.mkdir()

    def fill(writer: int) -> None:
        for number in range(200):
            failurelog.note(str(home), [{"writer": writer, "number": number, "x": "y" * 80}])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(fill, range(4)))
    kept = [(one["writer"], one["number"]) for one in failurelog.read(str(home))]
    assert 30 < len(kept) < 110
    for writer in range(4):
        numbers = [number for one, number in kept if one == writer]
        assert numbers == list(range(199, 199 - len(numbers), -1))
    with open(home / failurelog.NAME, "a") as file:
        file.write('{"number": 1, ')
    assert [(one["writer"], one["number"]) for one in failurelog.read(str(home))] == kept
    assert os.listdir(home) == [failurelog.NAME]
