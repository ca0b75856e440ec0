"""Commands and what lies around them: environments, editable projects, modules beside scripts, times, caches, links."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from base64 import urlsafe_b64encode
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.requirements import requires_program

if TYPE_CHECKING:
    from tests.conftest import Offload


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "work"
    path.mkdir()
    monkeypatch.chdir(path)
    return path


class Runs:
    """Runs a command again and again: what it prints, and whether it was recalled."""

    def __init__(self, offload: Offload) -> None:
        self.offload = offload

    def __call__(self, *words: str | Path, env: dict[str, str] | None = None) -> tuple[str, bool]:
        done = self.offload("run", *words, env=env)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().rstrip("\n"), b"offload: recalled (" in done.stderr


@pytest.fixture
def runs(offload: Offload, work: Path) -> Runs:
    return Runs(offload)


@pytest.fixture
def environment(work: Path) -> Path:
    """A virtual environment with a package ``inside``."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", work / ".venv"], check=True)
    (site,) = (work / ".venv" / "lib").glob("python*/site-packages")
    (site / "inside.py").write_text("print('the package of the environment')\n")
    (site / "inside-1.0.dist-info").mkdir()
    (site / "inside-1.0.dist-info" / "RECORD").write_text("inside.py,,\n")
    return site


@pytest.mark.parametrize("words", [[".venv/bin/python", "m.py"], ["sh", "-c", ".venv/bin/python m.py"]])
def test_a_program_of_an_environment_by_a_relative_path(
    runs: Runs, environment: Path, work: Path, words: list[str]
) -> None:
    """It finds the packages of its environment, as it would outside."""
    (work / "m.py").write_text("import inside\n")
    options = ["--input", "m.py"] if words[0] == "sh" else []
    assert runs(*options, "--", *words) == ("the package of the environment", False)
    assert runs(*options, "--", *words) == ("the package of the environment", True)


def test_a_link_beside_its_package(runs: Runs, work: Path) -> None:
    place = work / "node_modules" / "x"
    place.mkdir(parents=True)
    (work / "node_modules" / ".bin").mkdir()
    (place / "cli.sh").write_text('#!/bin/sh\ncat "$(dirname "$(readlink -f "$0")")/data"\n')
    (place / "cli.sh").chmod(0o755)
    (place / "data").write_text("its data")
    (work / "node_modules" / ".bin" / "x").symlink_to("../x/cli.sh")
    (place / "package.json").write_text('{"version": "1.0.0"}')
    assert runs("--", "node_modules/.bin/x") == ("its data", False)
    assert runs("--", "node_modules/.bin/x") == ("its data", True)
    (place / "data").write_text("other data")
    (place / "package.json").write_text('{"version": "2.0.0"}')
    assert runs("--", "node_modules/.bin/x") == ("other data", False)
    (work / "node_modules" / ".package-lock.json").write_text("{}")  # of what lies deeper
    assert runs("--", "node_modules/.bin/x") == ("other data", False)
    assert runs("--", "node_modules/.bin/x") == ("other data", True)


def test_an_editable_project(runs: Runs, environment: Path, work: Path, tmp_path: Path) -> None:
    """Its code counts as Python finds it: by a path file, or by what installers note of it."""
    project = tmp_path / "project"
    (project / "src" / "tool").mkdir(parents=True)
    main = project / "src" / "tool" / "__init__.py"
    main.write_text("def main(): print('version A')\n")
    (environment / "_tool.pth").write_text(f"{project / 'src'}\n")
    (environment / "tool-1.dist-info").mkdir()
    note = f'{{"dir_info": {{"editable": true}}, "url": "file://{project}"}}'
    (environment / "tool-1.dist-info" / "direct_url.json").write_text(note)
    (work / "analysis.py").write_text("import tool; tool.main()\n")
    python = work / ".venv" / "bin" / "python"
    assert runs("--", python, "analysis.py") == ("version A", False)
    assert runs("--", python, "analysis.py") == ("version A", True)
    (project / "results.csv").write_text("not code")
    assert runs("--", python, "analysis.py") == ("version A", True)
    main.write_text("def main(): print('version B')\n")
    assert runs("--", python, "analysis.py") == ("version B", False)
    (environment / "tool-1.dist-info" / "direct_url.json").unlink()
    assert runs("--", python, "analysis.py")[0] == "version B"
    main.write_text("def main(): print('version C')\n")
    assert runs("--", python, "analysis.py") == ("version C", False)
    assert runs("--env", ".venv", "--", "python", "analysis.py")[0] == "version C"
    main.write_text("def main(): print('version D')\n")
    assert runs("--env", ".venv", "--", "python", "analysis.py") == ("version D", False)


@pytest.mark.parametrize("origin", ['"dir_info": {}', '"archive_info": {}'])
def test_a_project_that_is_installed_again_under_its_version(
    runs: Runs, environment: Path, work: Path, origin: str
) -> None:
    """As ``pip install .`` and ``pip install ./tool.whl`` do: only the files, and their list, tell."""
    metadata = environment / "tool-1.dist-info"
    (environment / "tool").mkdir()
    metadata.mkdir()
    (metadata / "direct_url.json").write_text(f'{{"url": "file:///somewhere", {origin}}}')

    def install(letter: str, script: str = "x") -> None:
        code = f"def main(): print('version {letter}')\n".encode()
        (environment / "tool" / "__init__.py").write_bytes(code)
        noted = urlsafe_b64encode(sha256(code).digest()).decode().rstrip("=")
        entries = [
            f"tool/__init__.py,sha256={noted},1",
            f"../../../bin/tool,sha256={script},1",
            "tool-1.dist-info/RECORD,,",
        ]
        (metadata / "RECORD").write_text("\n".join(entries) + "\n")

    install("A")
    (work / "analysis.py").write_text("import tool; tool.main()\n")
    script = work / ".venv" / "bin" / "tool"
    script.write_text(f"#!{work}/.venv/bin/python\nimport tool; tool.main()\n")
    script.chmod(0o755)
    ways: list[list[str | Path]] = [
        ["--", ".venv/bin/python", "analysis.py"],
        ["--", script],
        ["--", "timeout", "60", ".venv/bin/python", "analysis.py"],
        ["--input", "analysis.py", "--", "sh", "-c", ".venv/bin/python analysis.py"],
        ["--env", ".venv", "--", "python", "analysis.py"],
    ]
    for words in ways:
        assert runs(*words) == ("version A", False)
        assert runs(*words) == ("version A", True)
    install("B")
    for words in ways:
        assert runs(*words) == ("version B", False)
    install("B", "of another environment")
    for words in ways:
        assert runs(*words) == ("version B", True)


def test_packages_that_an_environment_takes_from_its_python(runs: Runs, environment: Path, tmp_path: Path) -> None:
    base = tmp_path / "base" / "lib" / "python3.12" / "site-packages"
    (base / "tool-1.dist-info").mkdir(parents=True)
    settings = Path(".venv/pyvenv.cfg")
    text = f"home = {tmp_path / 'base' / 'bin'}\ninclude-system-site-packages = "
    settings.write_text(text + "true\n")
    words = ("--", ".venv/bin/python", "-c", "print(1)")
    assert runs(*words) == ("1", False)
    (base / "tool-1.dist-info").rename(base / "tool-2.dist-info")
    assert runs(*words) == ("1", False)
    settings.write_text(text + "false\n")
    assert runs(*words) == ("1", False)
    (base / "tool-2.dist-info").rename(base / "tool-3.dist-info")
    assert runs(*words) == ("1", True)


def test_an_environment_within_an_input_directory(runs: Runs, environment: Path, work: Path) -> None:
    """It is used where it lies: it could not be copied, since it is full of links that lead out."""
    (work / "m.py").write_text("import inside\n")
    for words in (["timeout", "60", ".venv/bin/python", "m.py"], ["sh", "-c", "exec .venv/bin/python m.py"]):
        assert runs("--input", ".", "--", *words) == ("the package of the environment", False)
        assert runs("--input", ".", "--", *words) == ("the package of the environment", True)
    assert runs("--input", ".", "--", "ls", "-A") == ("m.py", False)


@pytest.mark.parametrize("how", ["absolute", "options", "path"])
def test_modules_beside_a_script_that_is_run_where_it_lies(runs: Runs, tmp_path: Path, how: str) -> None:
    place = tmp_path / "lib"
    (place / "package").mkdir(parents=True)
    script = place / ("script" if how == "path" else "script.py")
    script.write_text(f"#!{sys.executable}\nimport helper, package\nprint(helper.VALUE + package.VALUE)\n")
    script.chmod(0o755)
    (place / "helper.py").write_text("VALUE = 1\n")
    (place / "package" / "__init__.py").write_text("VALUE = 10\n")
    options = ["-W", "ignore", "-u"] if how == "options" else []
    words = ["script"] if how == "path" else [sys.executable, *options, str(script)]
    env = {"PATH": f"{place}:{os.environ['PATH']}"}
    assert runs("--", *words, env=env) == ("11", False)
    assert runs("--", *words, env=env) == ("11", True)
    (place / "helper.py").write_text("VALUE = 2 # edited\n")
    assert runs("--", *words, env=env) == ("12", False)
    (place / "package" / "__init__.py").write_text("VALUE = 20\n")
    assert runs("--", *words, env=env) == ("22", False)
    assert runs("--", *words, env=env) == ("22", True)


@pytest.mark.parametrize("beside", ["", "..", "absolute"])
def test_paths_in_variables(runs: Runs, work: Path, tmp_path: Path, beside: str) -> None:
    place = tmp_path / "elsewhere" if beside == "absolute" else work / beside
    (place / "lib").mkdir(parents=True)
    helper, conf = (
        path if beside == "absolute" else Path(os.path.relpath(path))
        for path in (place / "lib" / "helper.py", place / "conf.ini")
    )
    helper.write_text("VALUE = 1\n")
    conf.write_text("a")
    text = "import helper, os; print(helper.VALUE, open(os.environ['CONF']).read())"
    words = ["--var", f"PYTHONPATH={helper.parent}", "--var", f"CONF={conf}", "--", sys.executable, "-c", text]
    assert runs(*words) == ("1 a", False)
    assert runs(*words) == ("1 a", True)
    conf.write_text("b")
    assert runs(*words) == ("1 b", False)
    helper.write_text("VALUE = 20\n")
    assert runs(*words) == ("20 b", False)


def test_make_does_not_take_what_is_stale_for_up_to_date(runs: Runs, work: Path) -> None:
    requires_program("make")
    (work / "Makefile").write_text("made: source\n\tcp source made\n")
    (work / "source").write_text("1")
    (work / "made").write_text("0")
    os.utime("made", (1_000_000_000, 1_000_000_000))
    words = ("--input", ".", "--output", "result", "--", "sh", "-c", "make -s made && cp made result")
    runs(*words)
    assert (work / "result").read_text() == "1"
    os.utime("made")
    os.utime("source", (1_000_000_000, 1_000_000_000))
    assert not runs(*words)[1], "the order of the files counts"
    assert (work / "result").read_text() == "0"
    os.utime("made")
    assert runs(*words)[1], "their times do not"


def test_bytecode_is_nothing_of_a_directory(runs: Runs, work: Path) -> None:
    (work / "p").mkdir()
    code = work / "p" / "n.py"
    code.write_text("K = 1\n")
    (work / "p" / "__main__.py").write_text("from p.n import K; print(K)\n")
    words = ("--input", "p", "--output", "p", "--", sys.executable, "-m", "p")
    assert runs(*words)[0] == "1"
    assert not (work / "p" / "__pycache__").exists()
    code.write_text("K = 2\n")
    assert runs(*words)[0] == "2"
    plain = ("--input", "p", "--", sys.executable, "-m", "p")
    assert runs(*plain) == ("2", False)
    subprocess.run([sys.executable, "-m", "p"], check=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": ""})
    assert (work / "p" / "__pycache__").exists()
    assert runs(*plain) == ("2", True)


def test_an_output_is_never_older_than_an_input(runs: Runs, work: Path) -> None:
    """Or make would run its recipe again at each call."""
    (work / "in").write_text("x")
    words = ("--output", "out", "--output", "deep/er/out", "--", "sh", "-c", "cat in | tee out > deep/er/out")
    runs(*words)
    moment = (work / "out").stat().st_mtime_ns
    os.utime("in", ns=(moment, moment + 60 * 10**9))
    assert runs(*words)[1]
    for name in ("out", "deep/er/out"):
        assert (work / name).stat().st_mtime_ns >= (work / "in").stat().st_mtime_ns


def test_a_link_as_an_output(offload: Offload, work: Path) -> None:
    text = "echo bin > libz.so.1; ln -s libz.so.1 libz.so; ln -s libz.so libz"
    words = ["--output", "libz", "--output", "libz.so", "--output", "libz.so.1", "--", "sh", "-c", text]
    for _ in range(2):
        assert offload("run", *words).returncode == 0
        assert {(work / name).read_text() for name in ("libz", "libz.so", "libz.so.1")} == {"bin\n"}
        (work / "libz.so").write_text("changed")
        assert (work / "libz.so.1").read_text() == "bin\n"
        for name in ("libz", "libz.so", "libz.so.1"):
            (work / name).unlink()


def test_outputs_two_directories_deep_are_no_strays(offload: Offload, work: Path) -> None:
    done = offload("run", "--output", "o/x/f", "--", "sh", "-c", "echo a > o/x/f")
    assert b"does not come back" not in done.stderr
    done = offload("run", "--output", "o/x/g", "--", "sh", "-c", "echo a > o/x/g; touch o/other")
    assert b"made o/other, which does not come back" in done.stderr


def test_an_input_within_another_by_a_link(runs: Runs, work: Path) -> None:
    (work / "in").mkdir()
    (work / "in" / "data").write_text("x")
    (work / "in" / "latest").symlink_to("data")
    assert runs("--", "sh", "-c", "ls in; cat in/latest")[0] == "data\nlatest\nx"


def test_a_relative_directory_of_the_path(runs: Runs, work: Path) -> None:
    (work / "bin").mkdir()
    (work / "bin" / "tool").write_text("#!/bin/sh\necho found\n")
    (work / "bin" / "tool").chmod(0o755)
    assert runs("--", "tool", env={"PATH": f"bin:{os.environ['PATH']}"}) == ("found", False)


@pytest.mark.parametrize(
    "launcher", [["env"], ["nice"], ["timeout", "60"], ["nohup"], ["xargs"], ["env", "A=1", "nice"]]
)
def test_a_program_that_another_one_starts(runs: Runs, tmp_path: Path, launcher: list[str]) -> None:
    requires_program(launcher[0])
    (tmp_path / "bin").mkdir()
    tool = tmp_path / "bin" / "mytool"
    tool.write_text("#!/bin/sh\necho one\n")
    tool.chmod(0o755)
    env = {"PATH": f"{tool.parent}:{os.environ['PATH']}"}
    assert runs("--", *launcher, "mytool", env=env)[0] == "one"
    tool.write_text("#!/bin/sh\necho another\n")
    assert runs("--", *launcher, "mytool", env=env) == ("another", False)


def test_arithmetic_is_no_pattern(runs: Runs, work: Path) -> None:
    os.mkfifo("pipe")
    assert runs("--", "sh", "-c", "echo $((3 * 3)) $(( (1 + 1) * 2 ))") == ("9 4", False)


def test_tasks_within_a_command_are_kept(runs: Runs, work: Path) -> None:
    (work / "s.py").write_text(
        "import offload\n@offload.task\ndef f(x):\n    print('ran')\n    return x\nprint(f(1))\n"
    )
    assert runs("--fresh", "--", sys.executable, "s.py")[0] == "ran\n1"
    assert runs("--fresh", "--", sys.executable, "s.py")[0] == "1"


@pytest.mark.real
def test_a_program_is_never_busy(offload: Offload, work: Path) -> None:
    """A child that is forked while a copy of the program is written would have it open."""
    shutil.copy("/bin/echo", work / "prog")
    with open("prog", "ab") as stream:
        stream.write(os.urandom(1_000_000))
    (work / "n.txt").write_text("".join(f"{n}\n" for n in range(400)))
    done = offload("run", "--each", "n.txt", "-j", "8", "--", "./prog", "{}", timeout=300)
    assert (done.returncode, done.stdout) == (0, (work / "n.txt").read_bytes())


def told(offload: Offload, *words: str | Path) -> str:
    """What offload says of a command that it computes."""
    return offload("run", *words).stderr.decode()


def test_what_a_command_may_have_missed_without_failing(offload: Offload, work: Path) -> None:
    """It ran, and gave nothing: the directory that it looked into is not there."""
    (work / "data").mkdir()
    (work / "data" / "a.csv").write_text("1")
    (work / "count.py").write_text("from glob import glob\nprint(len(glob('data/*.csv')), 'text')\n")
    (work / "count.sh").write_text("#!/bin/sh\nls data/*.csv 2>/dev/null | wc -l\n")
    (work / "count.sh").chmod(0o755)
    assert "it ran in an empty directory" in told(offload, "--", "ls")
    assert "data/ is named by a script, exists here and is not an input" in told(offload, "--", "python3", "count.py")
    assert "--input data/" in told(offload, "--", "./count.sh")
    for words in (["--input", "data", "--", "python3", "count.py"], ["--", "ls", "data"], ["--", "echo", "."]):
        said = told(offload, *words)
        assert "recorded" in said
        assert "exists here" not in said and "empty directory" not in said


def test_what_a_text_among_the_words_names_and_is_not_there(offload: Offload, work: Path) -> None:
    (work / "a.csv").write_text("1\n")
    read = """BEGIN { while ((getline line < "a.csv") > 0) print line }"""
    asked = "import os; print(os.path.exists('a.csv'))"
    for words in (["awk", read], ["python3", "-c", asked]):
        assert "a.csv is named by the command, exists here and is not an input: --input a.csv" in told(
            offload, "--", *words
        )
        assert "exists here" not in told(offload, "--input", "a.csv", "--", *words)
    assert "exists here" not in told(offload, "--", "sh", "-c", "wc -l 'a.csv'")


def test_a_standard_input_that_was_eaten_in_a_loop_is_told(command: Path, home: Path, work: Path) -> None:
    for name in "abc":
        (work / name).write_text("x\n")
    loop = f'ls a b c | while read f; do {command} run -q {{}} -- grep -c x "$f"; done'
    done = subprocess.run(["sh", "-c", loop.replace("{}", "")], capture_output=True, check=True)
    assert done.stdout == b"1\n"
    assert b"standard input (a pipe, read to its end, 4 bytes) counts" in done.stderr
    assert b"--stdin none" in done.stderr
    done = subprocess.run(["sh", "-c", loop.replace("{}", "--stdin none")], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"1\n1\n1\n", b"")
    done = subprocess.run(["sh", "-c", f"cat a | {command} run -q -- paste - b"], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"x\tx\n", b"")


@pytest.mark.parametrize("name", ["sort a | head", "cd", "source"])
def test_what_only_a_shell_understands(offload: Offload, work: Path, name: str) -> None:
    done = offload("run", "--", name)
    assert done.returncode == 127
    assert b"offload run -- sh -c" in done.stderr


def test_lists_of_commands_that_cannot_be(offload: Offload, work: Path) -> None:
    done = offload("run", "-o", "same.txt", "--", "sh", "-c", "echo $1 > same.txt", "-", "{}", ":::", "a", "b")
    assert done.returncode == 125
    assert b"several commands would write the output same.txt" in done.stderr
    assert not (work / "same.txt").exists()
    done = offload("run", "--", "echo", ":::")
    assert (done.returncode, done.stdout) == (0, b"")
    assert b"the list is empty" in done.stderr


def test_failures_are_named_also_when_it_is_to_be_quiet(offload: Offload, work: Path) -> None:
    done = offload("run", "-q", "--", "sh", "-c", "exit {}", ":::", "0", "3")
    assert (done.returncode, done.stderr) == (1, b"offload: failed (exit code 3): 3\n")


@pytest.mark.parametrize("words", [["tool"], ["sh", "-c", "tool"], ["nice", "tool"], ["nice", "sh", "-c", "exec tool"]])
def test_a_relative_directory_on_the_search_path(runs: Runs, work: Path, words: list[str]) -> None:
    """As in a shell, whoever looks for the program; and it counts."""
    (work / "bin").mkdir()
    tool = work / "bin" / "tool"
    tool.write_text("#!/bin/sh\necho 1\n")
    tool.chmod(0o755)
    env = {"PATH": f"bin:{os.environ['PATH']}"}
    assert runs("--", *words, env=env) == ("1", False)
    assert runs("--", *words, env=env) == ("1", True)
    tool.write_text("#!/bin/sh\necho 2\n")
    assert runs("--", *words, env=env) == ("2", False)


SCRIPT = "#!/bin/sh\n# other\nif true; then tool from script; fi\n"
WAYS = {
    "a script": (["bash", "-e", "run.sh"], []),
    "a program": (["./run.sh"], []),
    "behind a launcher": (["nice", "./run.sh"], []),
    "its absolute path": (["bash", "{work}/run.sh"], []),
    "a program on PATH": (["runs"], []),
    "sourced": (["sh", "-c", ". ./run.sh"], ["--input", "run.sh"]),
    "within a directory": (["sh", "-c", "sh run.sh"], ["--input", "."]),
    "make": (["make", "-s"], ["--input", "Makefile"]),
    "make in a directory": (["make", "-s"], ["--input", "."]),
}


@pytest.mark.parametrize("way", list(WAYS))
def test_programs_that_scripts_start(runs: Runs, work: Path, tmp_path: Path, way: str) -> None:
    """The user's own count, wherever the script that names them is given."""
    command, options = WAYS[way]
    requires_program("make" if "make" in command else "sh")
    place = tmp_path / "bin"
    place.mkdir()
    for path, text in (
        (work / "run.sh", SCRIPT),
        (place / "runs", SCRIPT),
        (place / "tool", "#!/bin/sh\necho 1 $@\n"),
        (place / "other", "#!/bin/sh\n"),
    ):
        path.write_text(text)
        path.chmod(0o755)
    (work / "Makefile").write_text("all:\n\t@tool from script\n")
    env = {"PATH": f"{place}:{os.environ['PATH']}"}
    words = [*options, "--", *(word.format(work=work) for word in command)]
    assert runs(*words, env=env) == ("1 from script", False)
    assert runs(*words, env=env) == ("1 from script", True)
    (place / "other").write_text("#!/bin/sh\necho changed\n")
    assert runs(*words, env=env) == ("1 from script", True)
    (place / "tool").write_text("#!/bin/sh\necho 2 $@\n")
    assert runs(*words, env=env) == ("2 from script", False)


def test_make_within_a_script(runs: Runs, work: Path) -> None:
    """The order of the files counts, since it goes by that."""
    requires_program("make")
    (work / "build.sh").write_text("cd . && make -s made\ncp made result\n")
    (work / "Makefile").write_text("made: source\n\tcp source made\n")
    (work / "source").write_text("1")
    (work / "made").write_text("0")
    os.utime("made", (1_000_000_000, 1_000_000_000))
    words = ("--input", ".", "--output", "result", "--", "bash", "build.sh")
    runs(*words)
    assert (work / "result").read_text() == "1"
    os.utime("made")
    os.utime("source", (1_000_000_000, 1_000_000_000))
    assert not runs(*words)[1]
    assert (work / "result").read_text() == "0"
