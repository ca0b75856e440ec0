"""``offload.run``."""

from __future__ import annotations

from pathlib import Path

import pytest

from offload.api.command import run
from offload.errors import CommandError, OffloadError, UsageError
from offload.registry.session import close_sessions, current


@pytest.fixture(autouse=True)
def work(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "work"
    path.mkdir()
    monkeypatch.chdir(path)
    return path


@pytest.fixture(autouse=True)
def _close() -> object:
    yield
    close_sessions()


def test_computed_then_recalled() -> None:
    first = run(["sh", "-c", "echo out; echo err >&2"])
    second = run(["sh", "-c", "echo out; echo err >&2"])
    assert (first.stdout, first.stderr, first.exit_code) == (b"out\n", b"err\n", 0)
    assert (second.stdout, second.stderr, second.exit_code) == (b"out\n", b"err\n", 0)
    assert (first.recalled, second.recalled) == (False, True)
    assert first.recorded
    assert second.recorded
    assert first.transformation == second.transformation
    assert (first.text, first.error_text, first.lines()) == ("out\n", "err\n", ["out"])
    assert repr(second) == "<CommandResult ['sh', '-c', 'echo out; echo err >&2']: exit code 0, recalled, 4 bytes>"


def test_nothing_is_written_to_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    run(["sh", "-c", "echo out; echo err >&2"])
    assert capfd.readouterr() == ("", "")


def test_inputs_outputs_variables_and_stdin(work: Path) -> None:
    (work / "a").write_text("A")
    (work / "b").write_text("B")
    command = ["sh", "-c", 'f=b; cat "$1" $f - > out; printf "$X" >> out', "_", str(work / "a")]
    result = run(command, input=[Path("b")], output=["out"], var={"X": "X"}, stdin=b"S")
    assert (work / "out").read_text() == "ABSX"
    assert result.outputs == ["out"]
    (work / "out").unlink()
    (work / "s").write_text("S")
    assert run(command, input=[Path("b")], output=["out"], var={"X": "X"}, stdin="s").recalled
    assert (work / "out").read_text() == "ABSX"
    assert not run(command, input=[Path("b")], output=["out"], var={"X": "Y"}, stdin="s").recalled


def test_failures() -> None:
    with pytest.raises(CommandError, match="ended with exit code 3:\nbad luck") as caught:
        run(["sh", "-c", "echo bad luck >&2; exit 3"])
    assert caught.value.hint is None
    result = run(["sh", "-c", "echo bad luck >&2; exit 3"], check=False)
    assert (result.exit_code, result.recorded, result.stderr) == (3, False, b"bad luck\n")


def test_a_failure_names_what_was_forgotten(work: Path) -> None:
    (work / "data.txt").touch()
    with pytest.raises(CommandError) as caught:
        run(["sh", "-c", "f=data; cat $f.txt"])
    assert caught.value.hint == "data.txt exists here but is not an input: add input=['data.txt']"


def test_a_string_is_no_command() -> None:
    with pytest.raises(UsageError, match="a list of words"):
        run("ls -l")
    with pytest.raises(UsageError, match="no command"):
        run([])


def test_unknown_commands() -> None:
    with pytest.raises(OffloadError, match="command not found: no-such-command"):
        run(["no-such-command"])


def test_fresh_computes_again() -> None:
    first = run(["date", "+%N"])
    again = run(["date", "+%N"], fresh=True)
    assert not again.recalled
    assert again.stdout != first.stdout
    assert run(["date", "+%N"]).stdout == first.stdout


def test_large_output_that_is_corrupt_is_computed_again() -> None:
    first = run(["seq", "400000"])
    [path] = [path for path in Path(current().home.store, "buffers").rglob("[!.]*") if path.is_file()]
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(2_000_000)
        file.write(b"!")
    again = run(["seq", "400000"])
    assert (again.stdout, again.recalled) == (first.stdout, False)
    assert run(["seq", "400000"]).recalled
