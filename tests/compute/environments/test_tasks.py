"""Tasks that name an environment, in which their calls are made."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from offload.api.named import partner
from offload.api.named.finding import find_python
from offload.errors import OffloadError, UsageError
from offload.registry.deployments import Place
from tests.deploy.test_environment import Worker, environment, place, wheel
from tests.deploy.test_local import eventually

__all__ = ["place"]
pytestmark = [pytest.mark.real, pytest.mark.usefixtures("home"), pytest.mark.timeout(300)]

SHAPES = """
import dataclasses

@dataclasses.dataclass
class Box:
    side: int

class TooLarge(Exception):
    pass
"""
PROGRAM = """
import json, os, sys, time
import offload
from shapes import Box, TooLarge

FACTOR = 2

@offload.task(environment="envs/rulers")
def measured(box, *, times=1):
    import rulers
    with open(os.environ["LOG"], "a") as log:
        log.write(f"{box.side}\\n")
    if box.side > 90:
        raise TooLarge(box.side)
    return Box(box.side * rulers.LENGTH * times * FACTOR), sys.prefix

@offload.task(environment="envs/rulers")
def twice(box):
    return measured(box), sys.prefix

@offload.task
def here(box):
    return sum(n.side for n in box)

def tried(call):
    try:
        return call()
    except Exception as error:
        return f"{type(error).__name__} {error}"
"""
EVERYTHING = """
if __name__ == "__main__":
    before = offload.why(measured, Box(1)).hit
    value, prefix = measured(Box(1))
    futures = measured.map([Box(n) for n in range(4)], times=3)
    values = offload.gather(futures)
    assert {type(one) for one, _ in [(value, prefix), *values]} == {Box}
    chained = here.submit([measured.submit(Box(1)).result()[0], Box(5)]).result()
    waiting = measured.submit(Box(1)), measured.submit(offload.task(Box).submit(7))
    raised = tried(lambda: measured(Box(91))), tried(lambda: measured.submit(Box(92)).result())
    try:
        measured.submit(Box(91)).result()
    except TooLarge as error:
        assert error.args == (91,)
    inner = twice.submit(Box(2)).result()
    FACTOR = 3
    print(json.dumps([
        before, value.side, prefix, [one.side for one, _ in values], chained, waiting[1].result()[0].side,
        waiting[0].recalled, raised, [inner[0][0].side, inner[0][1], inner[1]],
        [offload.why(here, [Box(1)]).hit, tried(lambda: measured(Box(1)))],
    ]))
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with an environment that has a library which nobody else has."""
    directory = tmp_path / "project"
    (directory / "envs").mkdir(parents=True)
    environment(directory / "envs" / "rulers", "1.5")
    (directory / "shapes.py").write_text(SHAPES)
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    return directory


def run(directory: Path, end: str, python: str = sys.executable) -> object:
    (directory / "main.py").write_text(PROGRAM + end)
    done = subprocess.run([python, "main.py"], cwd=directory, capture_output=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout.decode().splitlines()[-1])


def everything(directory: Path, hit: bool) -> list[object]:
    prefix = str(directory / "envs" / "rulers")
    set_since = f"__main__:FACTOR is another value in {prefix} than in the program, which has set it since"
    return [
        hit, 20, prefix, [0, 60, 120, 180], 25, 140,
        True, ["TooLarge 91", "TooLarge 92"], [40, prefix, prefix],
        [False, f"IdentityError {set_since}\n  pass it as an argument"],
    ]  # fmt: skip


def test_calls_are_made_in_the_environment(project: Path, tmp_path: Path) -> None:
    assert run(project, EVERYTHING) == everything(project, False)
    ran = sorted((tmp_path / "log").read_text().split())
    assert ran == sorted("1 0 1 2 3 7 91 92 91 2".split())
    assert run(project, EVERYTHING) == everything(project, True)
    assert len((tmp_path / "log").read_text().split()) == len(ran) + 3  # what has failed, and nothing else


def test_they_are_recalled_by_a_program_of_the_environment(project: Path) -> None:
    asks = """
if __name__ == "__main__":
    print(json.dumps([offload.why(measured, Box(1)).hit, measured(Box(1))[0].side]))
"""
    assert run(project, asks) == [False, 20]
    assert run(project, asks, str(project / "envs" / "rulers" / "bin" / "python")) == [True, 20]


def test_what_cannot_be_had_there_is_told(project: Path) -> None:
    told = run(
        project,
        """
@offload.task(environment="envs")
def nowhere(n):
    return n

@offload.task(environment="envs/bare")
def bare(n):
    return n

if __name__ == "__main__":
    import subprocess
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "envs/bare"], check=True)
    print(json.dumps([tried(lambda: one(1)) for one in (nowhere, bare)]))
""",
    )
    assert isinstance(told, list)
    assert told[0].startswith("UsageError there is no environment envs\n")
    python = project / "envs" / "bare" / "bin" / "python"
    assert told[1].startswith(f"OffloadError {python} cannot make calls: No module named 'offload'\n  install offload ")


def test_a_deployment_runs_them(place: Place, project: Path, tmp_path: Path) -> None:
    with Worker(place, environment(tmp_path / "without", None), "shared"):
        assert run(project, EVERYTHING) == everything(project, False)


FILES = """
@offload.task(environment="envs/rulers")
def made(name):
    import rulers
    with open(name, "w") as file:
        file.write(f"{rulers.LENGTH} {name}")
    return [offload.File(name)]

def read(files):
    with open(files[0]) as file:
        return file.read().split()[0]

if __name__ == "__main__":
    said = []
    for way in (made, lambda name: made.submit(name).result(60)):
        name = os.path.abspath(f"made-{len(said)}.txt")
        once = read(way(name))
        os.unlink(name)
        again = made.submit(name)
        said.append([once, read(again.result(60)), again.recalled, read(made(name))])
        os.unlink(name)
    print(json.dumps(said))
"""


def test_files_that_they_return_come_back(project: Path) -> None:
    assert run(project, FILES) == [["10", "10", True, "10"]] * 2
    assert run(project, FILES) == [["10", "10", True, "10"]] * 2


def test_files_that_they_return_on_a_deployment_come_back(place: Place, project: Path, tmp_path: Path) -> None:
    with Worker(place, environment(tmp_path / "without", None), "shared"):
        assert run(project, FILES) == [["10", "10", True, "10"]] * 2


def test_it_ends_with_the_program(project: Path) -> None:
    waits = "if __name__ == '__main__':\n    measured(Box(1))\n    print('ready', flush=True)\n    time.sleep(300)\n"
    (project / "main.py").write_text(PROGRAM + waits)
    with subprocess.Popen([sys.executable, "main.py"], cwd=project, stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"ready\n"
        children = psutil.Process(program.pid).children(recursive=True)
        assert str(project / "envs" / "rulers" / "bin" / "python") in [child.cmdline()[0] for child in children]
        os.kill(program.pid, signal.SIGKILL)
    assert eventually(lambda: not any(child.is_running() for child in children))


def test_an_environment_is_found_beside_the_file_and_above(tmp_path: Path) -> None:
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    (tmp_path / "package").mkdir()
    file = str(tmp_path / "package" / "module.py")
    for named in (".venv", ".venv/bin/python", str(tmp_path / ".venv")):
        assert find_python(named, file) == str(python)
    for name, hint in [
        ("environment.yml", "conda env create -p .conda -f environment.yml"),
        ("poetry.lock", "poetry export"),
        ("pyproject.toml", "uv lock"),
    ]:
        (tmp_path / name).write_text("name: x\n")
        with pytest.raises(UsageError, match="is no list of names and versions") as refused:
            find_python(name, file)
        assert hint in str(refused.value)
    (tmp_path / "uv.lock").write_text("version = 1\nrequires-python = '>=4'\npackage = []\n")
    with pytest.raises(UsageError, match=r"uv\.lock cannot be used: it is for Python >=4, and this is 3\."):
        find_python("uv.lock", file)
    (tmp_path / "open.txt").write_text("# what is wanted\npandas>=2.2\n")
    with pytest.raises(UsageError, match=r"does not say which version of 'pandas>=2\.2'"):
        find_python("open.txt", file)


def test_an_environment_is_made_of_a_lock_once(project: Path, home: Path) -> None:
    wheel(project, "2.5")
    (project / "analysis.lock").write_text(f"--no-index\n--find-links {project}\nrulers==2.5  # as measured\n")
    (project / "absent.lock").write_text("--no-index\nrulers==9.9\n")
    asks = """
@offload.task(environment="analysis.lock")
def locked(n):
    import rulers
    return n * rulers.LENGTH, sys.prefix

@offload.task(environment="absent.lock")
def absent(n):
    return n

if __name__ == "__main__":
    print(json.dumps([*locked(3), locked.submit(4).result()[0], tried(lambda: absent(1))]))
"""
    for _ in range(2):
        told = run(project, asks)
        assert isinstance(told, list)
        (made,) = (home / "environments").glob("locked-*")
        assert told[:3] == [60, str(made), 80]
        assert told[3].startswith(f"OffloadError the environment of {project}/absent.lock cannot be made: ")
        assert "rulers==9.9" in told[3]


def test_a_python_that_says_nothing_is_ended_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text("#!/bin/sh\nexec sleep 1000\n")
    python.chmod(0o755)
    monkeypatch.setattr(partner, "START_SECONDS", 0.3)
    with pytest.raises(OffloadError, match=r"cannot make calls: it said nothing for 0\.3 s"):
        partner.Partner(str(python))


UNNAMED = """
import json, os, sys
import offload
from shapes import Box

FACTOR = 2
made = {}
exec(compile('''
@offload.task(environment="envs/rulers")
def measured(box, times=1):
    import rulers
    return Box(doubled(box.side) * rulers.LENGTH * times), sys.prefix, os.getpid()

def doubled(n):
    return FACTOR * n
''', "<cell>", "exec"))
lengths = offload.task(lambda n: n * __import__("rulers").LENGTH, environment="envs/rulers")

first, second = measured(Box(1)), measured.submit(Box(2), times=3).result()
assert type(first[0]) is type(second[0]) is Box and first[2] != os.getpid()
hits = [offload.why(measured, Box(1)).hit]
FACTOR = 3
hits.append(offload.why(measured, Box(1)).hit)
print(json.dumps([first[0].side, first[1], second[0].side, measured(Box(1))[0].side, hits, lengths(4)]))
"""


def test_functions_without_a_file_go_by_value(project: Path) -> None:
    for words, again in (["-c", UNNAMED], False), (["-"], True):  # what is recorded is recalled
        done = subprocess.run(
            [sys.executable, *words], cwd=project, input=UNNAMED.encode(), capture_output=True, timeout=200, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        rulers = str(project / "envs" / "rulers")
        assert json.loads(done.stdout.splitlines()[-1]) == [20, rulers, 120, 30, [True, again], 40]


STOPPED = """
import time

if __name__ == "__main__":
    measured(Box(1))
    from offload.runners import watchdog
    watchdog.TOLD_AFTER, watchdog.FROZEN_SECONDS = 3.0, 4.0
    import psutil, signal
    (process,) = [one for one in psutil.Process().children() if "rulers" in one.cmdline()[0]]
    os.kill(process.pid, signal.SIGSTOP)
    begun = measured.submit(Box(3))
    print(json.dumps([measured(Box(2))[0].side, begun.result()[0].side, process.pid]))
"""


def test_one_that_has_been_stopped_is_told_and_replaced(project: Path) -> None:
    (project / "main.py").write_text(PROGRAM + STOPPED)
    command = [sys.executable, "main.py"]
    done = subprocess.run(command, cwd=project, capture_output=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr.decode()
    *sides, pid = json.loads(done.stdout.splitlines()[-1])
    assert sides == [40, 60]
    it = f"process {pid} of {project}/envs/rulers/bin/python"
    resume = f"to have it go on: kill -CONT {pid}"
    assert [line for line in done.stderr.decode().splitlines() if "process " in line] == [
        f"offload: waiting for {it}, which makes the calls of __main__:measured",
        f"offload: {it} has been stopped for 3 s, and is replaced after 4 s ({resume})",
        f"offload: {it} was stopped for 4 s, and is replaced",
    ]


def test_the_end_of_a_program_does_not_wait_for_one_that_has_been_stopped(project: Path) -> None:
    ends = """
if __name__ == "__main__":
    measured(Box(1))
    import psutil, signal
    (process,) = [one for one in psutil.Process().children() if "rulers" in one.cmdline()[0]]
    os.kill(process.pid, signal.SIGSTOP)
    print(process.pid)
"""
    pid = run(project, ends)
    assert isinstance(pid, int)
    eventually(lambda: not psutil.pid_exists(pid))


UV = """
version = 1
requires-python = ">=3.11"

[[package]]
name = "mine"
version = "0"
source = { virtual = "." }
dependencies = [{ name = "rulers" }, { name = "absent", marker = "sys_platform == 'win32'" }]

[[package]]
name = "rulers"
version = "2.5"
source = { registry = "wheels" }
wheels = [{ path = "rulers-2.5-py3-none-any.whl", hash = "sha256:DIGEST" }]

[[package]]
name = "absent"
version = "1"
source = { registry = "https://pypi.org/simple" }
"""
PYLOCK = """
lock-version = "1.0"
requires-python = ">=3.11"
created-by = "test"

[[packages]]
name = "rulers"
version = "2.5"

[[packages.wheels]]
path = "wheels/rulers-2.5-py3-none-any.whl"
hashes = { sha256 = "DIGEST" }

[[packages]]
name = "absent"
version = "1"
marker = "sys_platform == 'win32'"
"""


@pytest.mark.parametrize(("name", "text"), [("uv.lock", UV), ("pylock.toml", PYLOCK), ("pylock.mine.toml", PYLOCK)])
def test_lock_files_of_uv_and_of_the_standard(
    project: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("UV_NO_INDEX", "1")
    (project / "wheels").mkdir()
    digest = hashlib.sha256(wheel(project / "wheels", "2.5").read_bytes()).hexdigest()
    asks = f"""
@offload.task(environment="{name}")
def locked(n):
    import rulers
    return n * rulers.LENGTH

if __name__ == "__main__":
    print(json.dumps(tried(lambda: locked(3))))
"""
    (project / name).write_text(text.replace("DIGEST", digest))
    assert run(project, asks) == 60
    (project / name).write_text(text.replace("DIGEST", "0" * 64))
    told = run(project, asks)
    assert isinstance(told, str)
    assert told.startswith(f"OffloadError the environment of {project}/{name} cannot be made: ")


LOST = """
@offload.task(environment="envs/rulers")
def direct(n):
    with open(os.environ["LOG"], "a") as log:
        log.write(f"{n}\\\\n")
    if n == 9 or (n == 8 and open(os.environ["LOG"]).read().split().count("8") == 1):
        os.kill(os.getpid(), 9)
    return n

if __name__ == "__main__":
    begun = direct.map([5, 6, 7])
    print(json.dumps([direct(8), [one.result() for one in begun], tried(lambda: direct(9)), direct(10)]))
"""


def test_calls_of_one_that_was_killed_are_made_once_more(project: Path) -> None:
    found = run(project, LOST)
    python = f"{project}/envs/rulers/bin/python"
    assert isinstance(found, list)
    assert found[0] == 8
    assert found[1] == [5, 6, 7]
    assert found[2].startswith(f"WorkerLostError the process of {python} that makes the calls was ")
    assert ", twice" in found[2]
    assert found[3] == 10


OLD = """#!{python}
import collections, sys
Version = collections.namedtuple("Version", "major minor micro")
sys.version_info = Version(3, 10, 4)
sys.argv = sys.argv[sys.argv.index("-c") :]
exec(sys.argv.pop(1))
"""


def test_a_python_that_is_too_old_is_told(tmp_path: Path) -> None:
    python = tmp_path / "old" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(OLD.replace("{python}", sys.executable))
    python.chmod(0o700)
    with pytest.raises(OffloadError) as told:
        partner.Partner(str(python))
    assert told.value.message == (
        f"{python} cannot make calls: offload needs Python 3.11 or newer, and this is Python 3.10"
    )
    assert told.value.hint == "make the environment with a newer Python"


INSTALLS = """
@offload.task(environment="envs/rulers")
def length(n):
    import rulers
    return rulers.LENGTH, n

if __name__ == "__main__":
    import subprocess
    found = []
    for n, wheel in enumerate(sys.argv[1:]):
        command = [sys.executable, "-m", "pip", "--python", "envs/rulers", "install", "-q", "--no-index", "--no-deps"]
        subprocess.run([*command, "--force-reinstall", wheel], check=True)
        found += [length(n)[0], length.submit(-n - 1).result(100)[0]]
    print(json.dumps(found))
"""


@pytest.mark.parametrize("deployed", [True, False])
def test_what_is_installed_meanwhile_is_used(project: Path, request: pytest.FixtureRequest, deployed: bool) -> None:
    if deployed:
        there = request.getfixturevalue("place")
        with Worker(there, environment(project / "envs" / "without", None), "shared"):
            _installs(project)
    else:
        _installs(project)


def _installs(project: Path) -> None:
    wheels = [str(wheel(project, version)) for version in ("1.5", "2.0", "1.5", "3.0")]
    (project / "main.py").write_text(PROGRAM + INSTALLS)
    found: list[object] = []
    for part in (wheels, wheels[1:]):  # by a program that goes on, and by one that begins
        done = subprocess.run(
            [sys.executable, "main.py", *part], cwd=project, capture_output=True, timeout=250, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        found += json.loads(done.stdout.splitlines()[-1])
    assert found == [10, 10, 20, 20, 10, 10, 30, 30, 20, 20, 10, 10, 30, 30]
