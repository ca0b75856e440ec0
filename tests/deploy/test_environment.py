"""What was identified in another environment than a worker's runs there with the client's Python, or is refused."""

from __future__ import annotations

import glob
import os
import pwd
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import offload
from offload.deploy.config.spec import Spec
from offload.deploy.lifecycle import local as launch
from offload.registry.deployments import Place, Registry
from tests.requirements import requires

pytestmark = pytest.mark.real

SECONDS = 120.0

CLIENT = """
import os, sys
import offload

sys.executable = os.environ.get("AS_PYTHON", sys.executable)  # as if it had been started so

@offload.task
def answer(log, n):
    import rulers
    with open(log, "a") as file:
        file.write(f"{n}\\n")
    return rulers.LENGTH * n

@offload.task
def echo(log, value):
    with open(log, "a") as file:
        file.write("echo\\n")
    return repr(value)

@offload.task
def process(n):
    import rulers
    return sys.prefix, os.getpid()

@offload.task
def version(log):
    return "{}.{}".format(*sys.version_info)

if __name__ == "__main__":
    try:
        if sys.argv[2] == "version":
            print(version.submit(sys.argv[1]).result(100))
        elif sys.argv[2] == "process":
            places = {process.submit(n).result(100) for n in range(3)}
            assert [place for place, _ in places] == [sys.prefix], places
        elif sys.argv[2] == "answer":
            print(answer.submit(sys.argv[1], 2).result(100))
        else:
            import rulers
            print(echo.submit(sys.argv[1], rulers.Ruler()).result(100))
    except offload.OffloadError as error:
        print(type(error).__name__, error.message)
"""


def wheel(folder: Path, version: str) -> Path:
    """Build a wheel of the distribution ``rulers``, as a build tool would."""
    name = f"rulers-{version}.dist-info"
    files = {
        "rulers.py": f"LENGTH = {version[0]}0\n\n\nclass Ruler:\n    pass\n",
        f"{name}/METADATA": f"Metadata-Version: 2.1\nName: rulers\nVersion: {version}\n",
        f"{name}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{name}/RECORD"])
    path = folder / f"rulers-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inside, text in {**files, f"{name}/RECORD": record}.items():
            archive.writestr(inside, text)
    return path


def environment(folder: Path, version: str | None) -> str:
    """Make a virtual environment that has all that the tests' own has, and `rulers`; return its Python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=SECONDS)
    (site,) = glob.glob(f"{folder}/lib/python*/site-packages")
    # As in a requirements file that is shared: the rest comes from where the tests run.
    Path(site, "shared.pth").write_text("".join(f"{p}\n" for p in sys.path if os.path.isdir(p) and "lib/python" in p))
    Path(site, "offload.pth").write_text(f"{Path(offload.__file__).parents[1]}\n")
    if version is not None:
        command = [sys.executable, "-m", "pip", "--python", str(folder), "install", "-q", "--no-index", "--no-deps"]
        subprocess.run([*command, str(wheel(folder, version))], check=True, timeout=SECONDS)
    return f"{folder}/bin/python"


@pytest.fixture
def place(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A deployment without workers."""
    registry = Registry(str(home))
    launch.up(registry, Spec(name="test", workers=0), print)
    monkeypatch.setenv("OFFLOAD_DEPLOYMENT", "test")
    monkeypatch.setenv("OFFLOAD_MAKE_ENVIRONMENTS", "0")
    place = registry.get("test")
    yield place
    launch.down(registry, place, print)


class Worker:
    """A worker that runs with a Python of its own, until the block ends."""

    def __init__(self, place: Place, python: str, name: str, **variables: str) -> None:
        self.process = subprocess.Popen(
            [python, "-m", "offload.deploy.workers.process", place.path, name],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **variables},
        )

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exception: object) -> None:
        _, said = self.process.communicate(timeout=SECONDS)  # closes its standard input: it ends
        print(said.decode())


def client(python: str, script: Path, log: Path, what: str, **variables: str) -> str:
    command = [python, str(script), str(log), what]
    done = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, timeout=SECONDS, check=True)
    print(done.stderr.decode())
    return done.stdout.decode().strip()


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "client.py"
    path.write_text(CLIENT)
    return path


def test_other_versions_are_refused_and_the_same_are_not(place: Place, tmp_path: Path, script: Path) -> None:
    log = tmp_path / "log"
    ours, without = environment(tmp_path / "ours", "1.5"), environment(tmp_path / "without", None)
    theirs = environment(tmp_path / "theirs", "2.0")
    gone = str(tmp_path / "gone" / "bin" / "python")  # as for a client on another machine
    for python, there in ((theirs, "2.0"), (without, "not installed")):
        with Worker(place, python, "far-away"):
            for what in ("answer", "echo"):  # what the function reaches counts, and what an argument does
                told = client(ours, script, log, what, AS_PYTHON=gone)
                assert told.startswith("IdentityError far-away has another environment than this process: "), told
                assert told.endswith(f"rulers 1.5 here, {there} there (there is no {gone} there)"), told
    assert not log.exists()  # nothing ran
    with Worker(place, ours, "near"):
        assert client(ours, script, log, "answer", AS_PYTHON=gone) == "20"
        assert client(ours, script, log, "answer", AS_PYTHON=gone) == "20"
    assert log.read_text() == "2\n"  # and the refusals left no record behind: it ran once, and was recalled


def test_projects_with_other_versions_share_a_worker(place: Place, tmp_path: Path, script: Path) -> None:
    log = tmp_path / "log"
    ours, theirs = environment(tmp_path / "ours", "1.5"), environment(tmp_path / "theirs", "2.0")
    with Worker(place, environment(tmp_path / "without", None), "shared"):
        with ThreadPoolExecutor() as pool:
            asked = [pool.submit(client, python, script, log, "answer") for python in (ours, theirs)]
            assert [one.result() for one in asked] == ["20", "40"]
        assert sorted(log.read_text()) == sorted("2\n2\n")
        assert client(theirs, script, log, "answer") == "40"
        assert client(ours, script, log, "answer") == "20"
        assert len(log.read_text()) == 4  # both were recalled
        assert "rulers.Ruler object" in client(theirs, script, log, "echo")
        assert client(ours, script, log, "process") == ""  # one process of that Python, which stays


def test_a_python_that_cannot_run_calls_is_named(place: Place, tmp_path: Path, script: Path) -> None:
    log, ours = tmp_path / "log", environment(tmp_path / "ours", "1.5")
    with Worker(place, environment(tmp_path / "theirs", "2.0"), "far"):
        lacking = "IdentityError far has another environment than this process: rulers 1.5 here, 2.0 there "
        broken = tmp_path / "python"
        broken.write_text("#!/bin/sh\necho this one is broken >&2\nexit 3\n")
        broken.chmod(0o755)
        told = client(ours, script, log, "answer", AS_PYTHON=str(broken))
        assert told == f"{lacking}({broken} runs no calls there: this one is broken)"
        broken.write_text("#!/bin/sh\nexit 3\n")
        told = client(ours, script, log, "answer", AS_PYTHON=str(broken))
        assert told == f"{lacking}({broken} runs no calls there: it ended with exit code 3)"
        broken.chmod(0o644)
        told = client(ours, script, log, "answer", AS_PYTHON=str(broken))
        assert told == f"{lacking}({broken} cannot be executed there)"
        broken.chmod(0o757)
        told = client(ours, script, log, "answer", AS_PYTHON=str(broken))
        assert told == f"{lacking}({broken} is not used: every user can write it)"
    assert not log.exists()


def test_the_python_of_a_client_that_has_changed_since_is_refused(place: Place, tmp_path: Path) -> None:
    ours = environment(tmp_path / "ours", "1.5")
    script = tmp_path / "client.py"
    newer = wheel(tmp_path, "3.0")
    install = [sys.executable, "-m", "pip", "--python", str(tmp_path / "ours"), "install", "-q", "--no-index"]
    known = "offload.why(answer, sys.argv[1], 2)"  # what it reaches is known from now on
    changing = f"    import subprocess\n    {known}\n    subprocess.run({[*install, str(newer)]!r}, check=True)\n"
    script.write_text(CLIENT.replace("    try:\n", f"{changing}    try:\n", 1))
    with Worker(place, environment(tmp_path / "without", None), "far"):
        told = client(ours, script, tmp_path / "log", "answer")
    assert told == (
        f"IdentityError {ours} on far has another environment than this process: rulers 1.5 here, 3.0 there"
    )
    assert not (tmp_path / "log").exists()


def other_python() -> str | None:
    """Return a Python of another minor version that can run a worker with the libraries of this one."""
    here = sys.version_info[:2]
    user = pwd.getpwuid(os.getuid()).pw_dir  # $HOME is the tests' own
    for minor in range(11, 16):
        for path in (f"python3.{minor}", *glob.glob(f"{user}/.pyenv/versions/3.{minor}.*/bin/python")):
            try:
                told = subprocess.run(
                    [path, "-c", "import sys, offload.deploy.workers.process; print(*sys.version_info[:2])"],
                    env={**os.environ, "PYTHONPATH": libraries()},
                    capture_output=True,
                    timeout=SECONDS,
                    check=True,
                )
            except (OSError, subprocess.CalledProcessError):
                continue
            if told.stdout.split() != [str(n).encode() for n in here]:
                return path
    return None


def libraries() -> str:
    return os.pathsep.join([str(Path(offload.__file__).parents[1]), *(p for p in sys.path if "site-packages" in p)])


def test_another_python_runs_no_calls_of_this_one(place: Place, tmp_path: Path, script: Path) -> None:
    python = other_python()
    requires(python, "needs another minor version of Python that can import Dask")
    assert python is not None
    log = tmp_path / "log"
    with Worker(place, python, "modern", PYTHONPATH=libraries()):
        told = client(sys.executable, script, log, "version", AS_PYTHON="/nowhere/python")
        here = f"{sys.version_info[0]}.{sys.version_info[1]}"
        lacking = f"IdentityError modern has another environment than this process: Python {here} here, 3."
        assert told.startswith(lacking)
        assert not log.exists()
        assert client(sys.executable, script, log, "version") == here
    with Worker(place, sys.executable, "own"):
        theirs = client(python, script, log, "version", PYTHONPATH=libraries())
        assert theirs.startswith("3.")
        assert theirs != here


def test_the_module_that_differs_is_named(place: Place, tmp_path: Path) -> None:
    for folder, factor in (("here", 2), ("there", 3)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "helpers.py").write_text(f"def double(n):\n    return {factor} * n\n")
    script = tmp_path / "here" / "script.py"
    script.write_text(
        "import offload\n"
        "@offload.task\n"
        "def twice(n):\n"
        "    from helpers import double\n"
        "    return double(n)\n"
        "try:\n"
        "    print(twice.submit(4).result(100))\n"
        "except offload.OffloadError as error:\n"
        "    print(type(error).__name__, error.message)\n"
    )
    # A worker that has imported a helper of this name before, of another version.
    sitecustomize = tmp_path / "there" / "sitecustomize.py"
    sitecustomize.write_text("import helpers\n")
    with Worker(place, sys.executable, "stale", PYTHONPATH=str(tmp_path / "there")):
        told = client(sys.executable, script, tmp_path / "log", "")
    assert told.startswith("IdentityError the function twice is not the same on stale as here: "), told
    assert "the function helpers:double is another one there" in told


def test_modules_that_a_function_imports_travel_with_it(place: Place, tmp_path: Path) -> None:
    package = tmp_path / "shapes"
    package.mkdir()
    (package / "__init__.py").write_text("SIDES = 4\n")
    (package / "areas.py").write_text("from shapes import SIDES\n\n\ndef area(n):\n    return SIDES * n\n")
    script = tmp_path / "script.py"
    script.write_text(
        "import offload\n"
        "@offload.task\n"
        "def one(n):\n"
        "    from shapes.areas import area\n"
        "    return area(n)\n"
        "@offload.task\n"
        "def two(n):\n"
        "    import shapes.areas\n"
        "    return shapes.areas.area(n) + shapes.SIDES\n"
        "print(offload.gather([task.submit(n) for n in range(3) for task in (one, two)], timeout=100))\n"
    )
    with Worker(place, sys.executable, "elsewhere"):
        assert client(sys.executable, script, tmp_path / "log", "") == "[0, 4, 4, 8, 8, 12]"
