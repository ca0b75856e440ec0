"""``offload run``: computed once, recalled after, byte for byte."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from offload.cli.main import main
from offload.commands.running.staging import Stager
from offload.registry.session import close_sessions

if TYPE_CHECKING:
    from offload.commands.planning.inputs import PlannedInput
    from tests.conftest import Offload


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory."""
    path = tmp_path / "work"
    path.mkdir()
    monkeypatch.chdir(path)
    return path


def damage(path: Path, kind: str) -> None:
    """Corrupt, shorten or remove the file of a large buffer."""
    path.chmod(0o644)
    if kind == "removed":
        path.unlink()
    elif kind == "cut":
        os.truncate(path, 2_000_000)
    else:
        with path.open("r+b") as file:
            file.seek(2_000_000)
            file.write(b"!")


def test_computed_then_recalled(offload: Offload, work: Path) -> None:
    first = offload("run", "--", "sh", "-c", "seq 1 10 | tac; echo oops >&2")
    second = offload("run", "--", "sh", "-c", "seq 1 10 | tac; echo oops >&2")
    assert first.stdout == second.stdout == b"".join(b"%d\n" % n for n in range(10, 0, -1))
    assert first.returncode == second.returncode == 0
    assert first.stderr.startswith(b"oops\noffload: computed in ")
    assert first.stderr.endswith(b" s, recorded\n")
    assert second.stderr.startswith(b"oops\noffload: recalled (computed 2")
    assert second.stderr.count(b"\n") == 2


def test_quiet_leaves_only_the_commands_own(offload: Offload, work: Path) -> None:
    for _ in range(2):
        done = offload("run", "-q", "--", "sh", "-c", "echo out; echo err >&2")
        assert (done.stdout, done.stderr) == (b"out\n", b"err\n")


def test_bytes_are_exact(offload: Offload, work: Path) -> None:
    script = "import sys; d = bytes(range(256)) * 9000; sys.stdout.buffer.write(d); sys.stderr.buffer.write(d[::-1])"
    expected = bytes(range(256)) * 9000
    for _ in range(2):
        done = offload("run", "-q", "--", sys.executable, "-c", script)
        assert done.stdout == expected
        assert done.stderr == expected[::-1]


def test_it_does_not_run_again(offload: Offload, work: Path) -> None:
    # What the clock says differs each time, so a second run would show.
    command = ("run", "-q", "--", "date", "+%N")
    assert offload(*command).stdout == offload(*command).stdout
    assert offload("run", "-q", "--fresh", "--", "date", "+%N").stdout != offload(*command).stdout


def test_another_result_is_told_and_not_kept(offload: Offload, work: Path) -> None:
    first = offload("run", "--", "date", "+%N")
    again = offload("run", "--fresh", "--", "date", "+%N")
    assert b"differs from the recorded result, which is kept" in again.stderr
    assert offload("run", "--", "date", "+%N").stdout == first.stdout


def test_the_double_dash_may_be_left_out(offload: Offload, work: Path) -> None:
    assert offload("run", "-q", "echo", "--", "-q").stdout == b"-- -q\n"
    assert b"recalled" in offload("run", "--", "echo", "--", "-q").stderr


def test_inputs_are_found_and_count_by_content(offload: Offload, work: Path) -> None:
    (work / "words.txt").write_text("b\na\n")
    assert offload("run", "--", "sort", "words.txt").stdout == b"a\nb\n"
    os.utime(work / "words.txt", (1, 1))
    assert b"recalled" in offload("run", "--", "sort", "words.txt").stderr
    (work / "words.txt").write_text("b\na\nc\n")
    assert offload("run", "--", "sort", "words.txt").stdout == b"a\nb\nc\n"
    (work / "words.txt").write_text("b\na\n")
    assert b"recalled" in offload("run", "--", "sort", "words.txt").stderr


def test_the_same_content_elsewhere_is_recalled(offload: Offload, work: Path) -> None:
    for name in ("one", "two"):
        (work / name).mkdir()
        (work / name / "data.txt").write_text("1\n")
    offload("run", "--", "cat", "data.txt", cwd=work / "one")
    assert b"recalled" in offload("run", "--", "cat", "data.txt", cwd=work / "two").stderr
    assert b"computed" in offload("run", "--", "cat", "two/data.txt", cwd=work).stderr


def test_files_above_the_current_directory(offload: Offload, work: Path) -> None:
    (work / "a" / "b").mkdir(parents=True)
    (work / "data.txt").write_text("above\n")
    done = offload("run", "--", "sh", "-c", "cat ../../data.txt; cat ../x/../../data.txt", cwd=work / "a" / "b")
    assert done.returncode != 0, "../x is not there"
    (work / "a" / "x").mkdir()
    done = offload("run", "-q", "--", "sh", "-c", "cat ../../data.txt; cat ../x/../../data.txt", cwd=work / "a" / "b")
    assert done.stdout == b"above\nabove\n"


def test_directories_count_with_names_bits_and_links(offload: Offload, work: Path) -> None:
    (work / "d" / "empty").mkdir(parents=True)
    (work / "d" / "f").write_text("x")
    (work / "d" / "l").symlink_to("f")
    listing = ("run", "--", "find", "d", "-printf", "%p %y %l\\n")
    first = offload(*listing)
    assert sorted(first.stdout.split(b"\n")) == sorted([b"d d ", b"d/empty d ", b"d/f f ", b"d/l l f", b""])
    assert b"recalled" in offload(*listing).stderr
    (work / "d" / "f").chmod(0o755)
    assert b"computed" in offload(*listing).stderr
    (work / "d" / "empty").rmdir()
    assert b"computed" in offload(*listing).stderr


def test_the_original_is_out_of_reach(offload: Offload, work: Path) -> None:
    (work / "data").write_text("mine\n")
    done = offload("run", "-q", "--", "sh", "-c", "echo yours >> data; cat data")
    assert done.stdout == b"mine\nyours\n"
    assert (work / "data").read_text() == "mine\n"


def test_outputs_come_back_also_when_recalled(offload: Offload, work: Path) -> None:
    make_file = "echo 1 > out/table.txt"
    make_tree = "mkdir -p tree/sub tree/empty; echo 2 > tree/sub/x; chmod +x tree/sub/x; ln -s sub/x tree/l"
    command = ("run", "-o", "out/table.txt", "-o", "tree", "--", "sh", "-c", f"{make_file}; {make_tree}")
    for word in (b"computed", b"recalled", b"recalled"):
        done = offload(*command)
        assert word in done.stderr, done.stderr
        assert (work / "out" / "table.txt").read_text() == "1\n"
        assert (work / "tree" / "sub" / "x").read_text() == "2\n"
        assert os.access(work / "tree" / "sub" / "x", os.X_OK)
        assert not (work / "out" / "table.txt").stat().st_mode & 0o111
        assert (work / "tree" / "l").readlink() == Path("sub/x")
        assert (work / "tree" / "empty").is_dir()
        if word == b"computed":
            (work / "out" / "table.txt").unlink()
            (work / "tree" / "sub" / "x").chmod(0o644)
            (work / "tree" / "l").unlink()
    assert not [path for path in work.rglob("[!.]*") if path.name.endswith(".tmp")]


def test_an_output_that_is_there_already_is_left_alone(offload: Offload, work: Path) -> None:
    offload("run", "-o", "x", "--", "sh", "-c", "echo 1 > x")
    before = (work / "x").stat()
    offload("run", "-o", "x", "--", "sh", "-c", "echo 1 > x")
    after = (work / "x").stat()
    assert (after.st_ino, after.st_mtime_ns, after.st_ctime_ns) == (
        before.st_ino,
        before.st_mtime_ns,
        before.st_ctime_ns,
    )
    (work / "x").write_text("other")
    offload("run", "-o", "x", "--", "sh", "-c", "echo 1 > x")
    assert (work / "x").read_text() == "1\n"


def test_a_directory_is_merged(offload: Offload, work: Path) -> None:
    (work / "d").mkdir()
    (work / "d" / "mine").write_text("mine")
    offload("run", "-o", "d/", "--", "sh", "-c", "echo 1 > d/yours")
    assert sorted(path.name for path in (work / "d").iterdir()) == ["mine", "yours"]


def test_a_file_may_be_input_and_output(offload: Offload, work: Path) -> None:
    (work / "log").write_text("a\n")
    offload("run", "-i", "log", "-o", "log", "--", "sh", "-c", "echo b >> log")
    assert (work / "log").read_text() == "a\nb\n"


def test_outputs_above_the_current_directory(offload: Offload, work: Path) -> None:
    (work / "sub").mkdir()
    for _ in range(2):
        offload("run", "-o", "../result", "--", "sh", "-c", "echo 1 > ../result", cwd=work / "sub")
        assert (work / "result").read_text() == "1\n"
        (work / "result").unlink()


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("/tmp/x", b"is an absolute path"),
        (".", b"names the current directory"),
        ("..", b"names the current directory or one above it"),
        ("", b"an output needs a name"),
        ("file/x", b"file is not a directory"),
    ],
)
def test_impossible_outputs(offload: Offload, work: Path, output: str, message: bytes) -> None:
    (work / "file").write_text("")
    done = offload("run", "-o", output, "--", "touch", "ran")
    assert done.returncode == 125
    assert message in done.stderr


def test_a_missing_output_is_an_error_and_nothing_is_recorded(offload: Offload, work: Path) -> None:
    for _ in range(2):
        done = offload("run", "-o", "made.txt", "--", "echo", "hello")
        assert done.returncode == 125
        assert done.stdout == b"hello\n"
        assert b"its declared output made.txt is not there" in done.stderr


@pytest.mark.parametrize("text", ["rmdir d; ln -s {} d; echo mine > d/x", "echo mine > {}/x; ln -s {}/x d/x"])
def test_an_output_that_a_link_leads_elsewhere_is_refused(
    offload: Offload, work: Path, tmp_path: Path, text: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    for _ in range(2):
        done = offload("run", "-o", "d/x", "--", "sh", "-c", text.replace("{}", str(outside)))
        assert done.returncode == 125
        message = f"the output d/x leads to {outside.resolve() / 'x'}, outside the scratch directory"
        assert os.fsencode(message) in done.stderr
        assert not (work / "d").exists()
        (outside / "x").unlink()


def test_an_output_may_be_reached_through_a_link_within(offload: Offload, work: Path) -> None:
    done = offload("run", "-o", "d/x", "--", "sh", "-c", "rmdir d; mkdir e; ln -s e d; echo mine > d/x")
    assert done.returncode == 0, done.stderr
    assert (work / "d" / "x").read_text() == "mine\n"


def test_variables_count_and_are_set(offload: Offload, work: Path) -> None:
    command = ("--", "sh", "-c", "echo $SEED")
    assert offload("run", "--var", "SEED=1", *command).stdout == b"1\n"
    assert offload("run", "--var", "SEED=2", *command).stdout == b"2\n"
    assert b"recalled" in offload("run", "--var", "SEED", *command, env={"SEED": "1"}).stderr
    missing = offload("run", "--var", "NO_SUCH", *command)
    assert missing.returncode == 125
    assert b"there is no such environment variable" in missing.stderr


def test_the_environment_is_minimal(offload: Offload, work: Path) -> None:
    done = offload("run", "-q", "--", "env", env={"SECRET": "x", "LANG": "de_DE.UTF-8"})
    environment = dict(line.split("=", 1) for line in done.stdout.decode().splitlines())
    assert sorted(environment) == [
        *("HOME", "LANG", "LC_ALL", "OFFLOAD_DEPLOYMENT", "OFFLOAD_HOME", "PATH", "PYTHONDONTWRITEBYTECODE", "TMPDIR"),
    ]
    assert environment["LANG"] == environment["LC_ALL"] == "C.UTF-8"
    assert not Path(environment["HOME"]).exists()


def test_the_scratch_directory(offload: Offload, work: Path, tmp_path: Path) -> None:
    place = tmp_path / "scratch"
    place.mkdir()
    done = offload("run", "-q", "--scratch", str(place), "--", "sh", "-c", "pwd; mkdir ro; touch ro/x; chmod 500 ro")
    assert done.stdout.startswith(os.fsencode(place))
    assert list(place.iterdir()) == []
    done = offload("run", "-q", "--", "sh", "-c", "pwd # 2", env={"TMPDIR": str(place)})
    assert done.stdout.startswith(os.fsencode(place))
    missing = offload("run", "--scratch", str(place / "no"), "--", "pwd")
    assert missing.returncode == 125
    assert b"cannot make a scratch directory" in missing.stderr


def test_staged_files_have_one_fixed_time(offload: Offload, work: Path) -> None:
    (work / "d").mkdir()
    (work / "d" / "x").write_text("")
    assert offload("run", "-q", "--", "stat", "-c", "%Y", "d/x", "d").stdout == b"946684800\n946684800\n"


def test_scripts_of_ones_own(offload: Offload, work: Path) -> None:
    script = work / "job.sh"
    script.write_text('#!/bin/sh\necho "$1"\n')
    script.chmod(0o755)
    assert offload("run", "-q", "--", "./job.sh", "one").stdout == b"one\n"
    script.write_text('#!/bin/sh\necho "$1!"\n')
    assert offload("run", "-q", "--", "./job.sh", "one").stdout == b"one!\n"
    script.chmod(0o644)
    done = offload("run", "--", "./job.sh", "one")
    assert done.returncode == 126
    assert b"chmod +x ./job.sh" in done.stderr


def test_commands_that_cannot_be_run(offload: Offload, work: Path) -> None:
    assert offload("run", "--", "no-such-command").returncode == 127
    bad = work / "bad"
    bad.write_text("#!/no/such/interpreter\n")
    bad.chmod(0o755)
    done = offload("run", "--", "./bad")
    assert done.returncode == 126
    assert b"#!/no/such/interpreter" in done.stderr
    bad.write_text("no first line\n")
    done = offload("run", "--", "./bad")
    assert done.returncode == 126
    assert b"neither a program nor a script" in done.stderr


@pytest.mark.parametrize(("text", "code"), [("exit 3", 3), ("kill -9 $$", 137)])
def test_failures_pass_on_and_are_not_recorded(offload: Offload, work: Path, text: str, code: int) -> None:
    for _ in range(2):
        done = offload("run", "--", "sh", "-c", f"echo out; echo err >&2; {text}")
        assert done.returncode == code
        assert done.stdout == b"out\n"
        assert done.stderr.startswith(b"err\n")
        assert done.stderr.rstrip().endswith(b"; not recorded")


def test_what_was_forgotten_is_named(offload: Offload, work: Path) -> None:
    (work / "data.txt").write_text("x")
    (work / "helper.py").write_text("")
    (work / "main.py").write_text("import helper")
    done = offload("run", "--", sys.executable, "-c", "open('data.txt')")
    assert done.stderr.endswith(b"data.txt exists here but is not an input: add --input data.txt\n")
    done = offload("run", "--", sys.executable, "main.py")
    assert done.stderr.endswith(b"helper.py exists here but is not an input: add --input helper.py\n")
    assert offload("run", "--input", "helper.py", "--", sys.executable, "main.py").returncode == 0


def test_missing_inputs(offload: Offload, work: Path) -> None:
    done = offload("run", "-i", "no-such-file", "--", "touch", "x")
    assert done.returncode == 125
    assert b"cannot read the input 'no-such-file'" in done.stderr


def test_detection_can_be_turned_off(offload: Offload, work: Path) -> None:
    (work / "hello").write_text("1")
    offload("run", "--no-detect", "--", "echo", "hello")
    (work / "hello").write_text("2")
    assert b"recalled" in offload("run", "--no-detect", "--", "echo", "hello").stderr


def test_absolute_paths_are_read_in_place_and_warned_about(offload: Offload, work: Path) -> None:
    path = work / "data.txt"
    path.write_text("1\n")
    first = offload("run", "--", "cat", str(path))
    assert first.stdout == b"1\n"
    assert os.fsencode(f"read in place: {path}") in first.stderr
    second = offload("run", "--", "cat", str(path))
    assert second.stderr.startswith(b"offload: recalled")
    path.write_text("2\n")
    assert offload("run", "--", "cat", str(path)).stdout == b"2\n"


def test_an_absolute_path_that_changes_meanwhile_is_not_recorded(offload: Offload, work: Path) -> None:
    path = work / "data.txt"
    for number in range(2):
        path.write_text("1\n")
        done = offload("run", "--", "sh", "-c", f"cat {path}; echo 2 > {path}")
        assert done.stdout == b"1\n"
        assert b"not recorded: " + os.fsencode(path) + b" changed while the command ran" in done.stderr, number


@pytest.mark.parametrize("how", ["absolute", "path", "named"])
@pytest.mark.parametrize("each", [False, True])
def test_a_program_that_changes_meanwhile_is_not_recorded(
    offload: Offload, work: Path, tmp_path: Path, how: str, each: bool
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    program = programs / "tool"
    first = {"absolute": [str(program)], "path": ["tool"], "named": ["sh", "-c", "tool"]}[how]
    command = ["run", "--", *first, *([":::", "a"] if each else [])]
    path = {"PATH": f"{programs}:{os.environ['PATH']}"}
    for number in range(2):
        program.write_text(f"#!/bin/sh\necho 1\necho '# edited' >> {program}\n")
        program.chmod(0o755)
        done = offload(*command, env=path)
        assert done.stdout == b"1\n"
        assert b"not recorded: " + os.fsencode(program) + b" changed while the command ran" in done.stderr, number


def test_a_program_that_is_gone_afterwards_has_changed(offload: Offload, work: Path, tmp_path: Path) -> None:
    program = tmp_path / "tool"
    program.write_text(f"#!/bin/sh\nrm {program}\n")
    program.chmod(0o755)
    done = offload("run", "--", str(program))
    assert done.returncode == 0
    assert os.fsencode(program) + b" changed while the command ran" in done.stderr


def test_large_directories_have_to_be_meant(
    work: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    big = work / "big"
    big.mkdir()
    for number in range(4):
        (big / str(number)).write_bytes(bytes(1000))
    for name, limit, what in (("MAX_FILES", 3, "3 files"), ("MAX_BYTES", 3 * 2**10, "2.86e-06 GiB")):
        with monkeypatch.context() as patch:
            patch.setattr(f"offload.commands.planning.inputs.{name}", limit)
            assert main(["run", "--", "ls", "big"]) == 125
            assert main(["run", "-q", "--input", "big", "--", "ls", "big"]) == 0
            assert main(["run", "-q", "--no-detect", "--", "echo", "big"]) == 0
        err = capfd.readouterr().err
        assert f"the directory big holds more than {what}" in err
        assert "--input big if it is meant, --no-detect if not" in err
    close_sessions()


def test_dry_run_shows_and_does_nothing(offload: Offload, work: Path) -> None:
    (work / "a.txt").write_text("a")
    (work / "b").mkdir()
    arguments = ("--input", "b", "-o", "out", "--var", "K=V", "--", "sh", "-c", "cat a.txt > out")
    text = offload("run", "--dry-run", *arguments).stdout.decode()
    for part in ("sh -c 'cat a.txt > out'", "a.txt", "detected", "declared", "K=V", "C.UTF-8", "would be computed"):
        assert part in text
    report = json.loads(offload("run", "--dry-run", "--json", *arguments).stdout)
    assert [(item["path"], item["how"]) for item in report["inputs"]] == [("b", "declared"), ("a.txt", "detected")]
    assert report["recalled"] is False
    assert not (work / "out").exists()
    offload("run", *arguments)
    again = json.loads(offload("run", "--dry-run", "--json", *arguments).stdout)
    assert again["recalled"] is True
    assert again["transformation"] == report["transformation"]


def test_why(offload: Offload, work: Path) -> None:
    (work / "a").write_text("1")
    command = ("run", "--why", "--", "cat", "a")
    assert b"no earlier run of this command is recorded" in offload(*command).stderr
    assert b"would be recalled" in offload(*command).stderr
    (work / "a").write_text("2")
    assert b"the input a has other content" in offload(*command).stderr
    assert b"argument 2 is new: '-n'" in offload(*command, "-n").stderr
    assert b"the variable X is new: '1'" in offload("run", "--why", "--var", "X=1", "--", "cat", "a").stderr


def test_json_goes_to_stderr_in_one_line(offload: Offload, work: Path) -> None:
    for recalled in (False, True):
        done = offload("run", "--json", "--", "echo", "hello")
        assert done.stdout == b"hello\n"
        report = json.loads(done.stderr)
        assert report["command"] == ["echo", "hello"]
        assert report["recalled"] is recalled
        assert report["recorded"] is True
    failed = json.loads(offload("run", "--json", "--", "false").stderr)
    assert (failed["exit_code"], failed["recorded"], failed["reason"]) == (1, False, "exit code 1")


@pytest.mark.parametrize("words", [["--no-such-option", "--", "ls"], [], ["--"], ["-j"], ["-j", "2", "--", "ls"]])
def test_usage_errors(offload: Offload, work: Path, words: list[str]) -> None:
    done = offload("run", *words)
    assert done.returncode == 125
    assert done.stdout == b""
    assert done.stderr.startswith(b"offload: ")
    assert b"Traceback" not in done.stderr


def test_words_that_are_no_text(offload: Offload, work: Path) -> None:
    name = b"caf\xe9 \n x"
    (work / os.fsdecode(name)).write_bytes(b"1")
    for word in (b"computed", b"recalled"):
        done = offload("run", "--", "cat", os.fsdecode(name))
        assert done.stdout == b"1"
        assert word in done.stderr


def test_a_lost_buffer_is_computed_again(offload: Offload, work: Path, home: Path) -> None:
    command = ("run", "-q", "--", sys.executable, "-c", "print('x' * 200000)")
    first = offload(*command)
    for path in (home / "store" / "buffers").rglob("[!.]*"):
        if path.is_file():
            path.unlink()
    assert offload(*command).stdout == first.stdout
    assert b"recalled" in offload("run", *command[2:]).stderr


def test_a_damaged_file_cache_is_told_in_a_line(offload: Offload, work: Path, home: Path) -> None:
    (work / "words").write_text("b\na\n")
    offload("run", "--", "sort", "words")
    for suffix in ("-wal", "-shm"):
        (home / f"files.sqlite{suffix}").unlink(missing_ok=True)
    (home / "files.sqlite").write_bytes(b"no database " * 1000)
    done = offload("run", "--", "sort", "words")
    assert (done.returncode, done.stdout) == (0, b"a\nb\n")
    first, second = done.stderr.decode().splitlines()
    assert first.startswith(f"offload: the file-checksum cache {home}/files.sqlite is damaged")
    assert first.endswith("; made anew")
    assert second.startswith("offload: recalled")


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize("kind", ["corrupt", "cut", "removed"])
def test_lost_parts_of_large_output_are_found_before_the_first_byte(
    offload: Offload, work: Path, home: Path, stream: str, kind: str
) -> None:
    words = [sys.executable, "-c", f"import sys; sys.{stream}.write('0123456789' * 300_000)"]
    expected = b"0123456789" * 300_000
    assert getattr(offload("run", "-q", "--", *words), stream) == expected
    [path] = [path for path in (home / "store" / "buffers").rglob("[!.]*") if path.is_file()]
    damage(path, kind)
    again = offload("run", "--", *words)
    assert again.returncode == 0
    assert b"offload: computed in " in again.stderr
    assert b"recalled" not in again.stderr
    assert getattr(again, stream).startswith(expected)
    assert getattr(again, stream).count(b"0123456789") == 300_000
    assert b"recalled" in offload("run", "--", *words).stderr


def test_a_large_output_survives_its_removal_while_it_is_passed_on(
    offload: Offload, command: Path, work: Path, home: Path
) -> None:
    words = ["run", "-q", "--", sys.executable, "-c", "print('x' * 8_000_000)"]
    expected = offload(*words).stdout
    with subprocess.Popen([command, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        first = process.stdout.read(1)
        assert offload("gc", "--max-size", "0").returncode == 0
        assert not [path for path in (home / "store" / "buffers").rglob("[!.]*") if path.is_file()]
        assert first + process.stdout.read() == expected
    assert process.returncode == 0


@pytest.mark.parametrize("kind", ["corrupt", "removed"])
def test_lost_parts_of_large_outputs_of_many(offload: Offload, work: Path, home: Path, kind: str) -> None:
    words = ["run", "--", "seq", ":::", "400000", "500000"]
    first = offload(*words)
    path = next(path for path in (home / "store" / "buffers").rglob("[!.]*") if path.is_file())
    damage(path, kind)
    again = offload(*words)
    assert (again.returncode, again.stdout) == (0, first.stdout)
    assert [path for path in (home / "store" / "buffers").rglob("[!.]*") if path.is_file()].count(path) == 1
    assert offload(*words).stdout == first.stdout


def test_a_home_that_cannot_be_used(offload: Offload, work: Path) -> None:
    (work / "file").write_text("")
    done = offload("run", "--", "touch", "ran", env={"OFFLOAD_HOME": str(work / "file")})
    assert done.returncode == 125
    assert b"is not a directory" in done.stderr
    assert b"Traceback" not in done.stderr


def test_closed_streams(offload: Offload, command: Path, work: Path) -> None:
    for words, expected in ((">&-", b""), ("2>&-", b"out\n"), ("<&- >&- 2>&-", b"")):
        for _ in range(2):
            done = subprocess.run(
                ["sh", "-c", f"{command} run -- sh -c 'echo out; echo err >&2' {words}"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
            )
            assert done.returncode == 0
            assert done.stdout == expected


def test_the_home_is_no_part_of_an_input(offload: Offload, work: Path) -> None:
    inside = {"OFFLOAD_HOME": str(work / "home")}
    (work / "x").touch()
    for word in (b"computed", b"recalled", b"recalled"):
        done = offload("run", "--", "find", ".", "-type", "f", env=inside)
        assert done.stdout == b"./x\n"
        assert word in done.stderr


def test_new_files_have_ordinary_permissions(offload: Offload, work: Path) -> None:
    done = offload("run", "-q", "--", "sh", "-c", "touch x; mkdir d; stat -c %a x d")
    assert done.stdout == b"644\n755\n"


def test_detected_directories_that_cannot_be_copied(offload: Offload, work: Path) -> None:
    (work / "d").mkdir()
    (work / "d" / "l").symlink_to("/etc/hostname")
    done = offload("run", "--", "ls", "d")
    assert done.returncode == 125
    assert b"d/l is a symbolic link to /etc/hostname, outside d" in done.stderr
    assert b"--no-detect" in done.stderr
    assert b"--no-detect" not in offload("run", "-i", "d", "--", "ls", "d").stderr


def test_what_is_staged_has_to_be_what_was_identified(
    work: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (work / "data").write_text("before")

    class Changing(Stager):
        def stage(self, inputs: Sequence[PlannedInput], outputs: Sequence[str]) -> None:
            (work / "data").write_text("after!")
            super().stage(inputs, outputs)

    monkeypatch.setattr("offload.commands.running.execution.Stager", Changing)
    assert main(["run", "--", "cat", "data"]) == 125
    close_sessions()
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("offload: data changed while it was read\n")


def test_unforeseen_errors_are_one_line(
    offload: Offload, work: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("what\nnow")

    monkeypatch.setattr("offload.commands.recall.plan_one", fail)
    assert main(["run", "--", "true"]) == 125
    assert capfd.readouterr().err.splitlines() == [
        "offload: internal error: ZeroDivisionError: what now",
        "  please report it; OFFLOAD_DEBUG=1 shows where it happened",
    ]
    monkeypatch.setenv("OFFLOAD_DEBUG", "1")
    assert main(["run", "--", "true"]) == 125
    assert "Traceback" in capfd.readouterr().err
    close_sessions()


def test_what_does_not_come_back_is_named(offload: Offload, work: Path, tmp_path: Path) -> None:
    (work / "data").mkdir()
    (work / "data" / "x").write_text("x")
    text = "echo 1 > b; mkdir -p c/d __pycache__; touch .hidden c/d/e; echo 2 > data/y; echo 3 >> data/x; echo 4 > o"
    done = offload("run", "-o", "o", "-i", "data", "--", "sh", "-c", text)
    assert done.stderr.endswith(b"offload: made b, c/, data/x, ..., which does not come back: --output b\n")
    report = json.loads(offload("run", "--fresh", "--json", "-o", "o", "-i", "data", "--", "sh", "-c", text).stderr)
    assert report["strays"] == ["b", "c/", "data/x", "data/y"]
    assert b"come back" not in offload("run", "-o", "o", "-i", "data", "--", "sh", "-c", "cat data/x > o").stderr
    target = tmp_path / "written"
    assert os.fsencode(f"wrote {target}, which is not recorded") in offload("run", "--", "touch", str(target)).stderr


def test_names_that_are_no_text_can_be_shown(offload: Offload, work: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    (work / name).touch()
    words = ("--", "sh", "-c", f"cat {name}; false")
    assert b"caf\xe9" in offload("run", "--dry-run", *words).stdout
    assert json.loads(offload("run", "--dry-run", "--json", *words).stdout)["inputs"][0]["path"] == name
    assert b"cat 'caf\xe9'" in offload("run", "--dry-run", "--", "cat", ":::", name).stdout
    assert offload("run", "--why", *words).returncode == 1
    assert offload("run", "--json", *words).returncode == 1
    assert b"exit code 1" in offload("run", "--", "false", ":::", name).stderr


def test_outputs_within_outputs(offload: Offload, work: Path) -> None:
    for _ in range(2):
        offload("run", "-o", "d", "-o", "d/x", "--", "sh", "-c", "mkdir -p d; echo 1 > d/x; echo 2 > d/y")
        assert (work / "d" / "x").read_text() == "1\n"
        assert (work / "d" / "y").read_text() == "2\n"
        (work / "d" / "x").unlink()


def test_scratch_on_another_file_system(offload: Offload, work: Path) -> None:
    place = Path("/dev/shm")
    if not place.is_dir() or place.stat().st_dev == work.stat().st_dev:
        pytest.skip("needs /dev/shm as a file system of its own")
    done = offload("run", "--scratch", str(place), "-o", "x", "--", "sh", "-c", "echo 1 > x; chmod +x x")
    assert done.returncode == 0, done.stderr
    assert (work / "x").read_text() == "1\n"
    assert (work / "x").stat().st_mode & 0o100


@pytest.mark.parametrize("place", ["x/y", "d"])
def test_places_that_are_taken(offload: Offload, work: Path, place: str) -> None:
    (work / "x").touch()
    (work / "d").mkdir()
    done = offload("run", "-o", place, "--", "sh", "-c", f"mkdir -p x; rm -rf d; echo 1 > {place}")
    assert done.returncode == 125
    assert b"cannot be brought back" in done.stderr
    assert (work / "d").is_dir()


def test_a_current_directory_that_is_gone(command: Path, home: Path, work: Path) -> None:
    (work / "gone").mkdir()
    done = subprocess.run(
        ["sh", "-c", f"cd gone; rmdir ../gone; {command} run -- ls"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 125
    assert b"the current directory does not exist any more" in done.stderr
