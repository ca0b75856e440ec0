"""A deployment of this machine in a container of an image, with a real podman."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from offload.registry.deployments import Registry
from tests.conftest import Offload
from tests.deploy.test_local import contact_of, eventually, free_range
from tests.lab import images
from tests.lab.images import IMAGE, MARK
from tests.requirements import requires, requires_program

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

UP = ("up", "--environment", f"container:{IMAGE}", "--workers", "1")
TASK = """
import os
import offload

@offload.task(effects="ignore")
def where(number, path):
    with open(path, "a") as file:
        file.write("once\\n")
    return open("/etc/image").read().strip(), os.getuid(), number

if __name__ == "__main__":
    future = where.submit(3, os.path.abspath("seen.txt"))
    print(*future.result(), future.recalled)
"""

Podman = Callable[..., str]


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    """Podman with an image of its own, in a directory of its own."""
    requires_program("podman")
    folder = tmp_path_factory.mktemp("podman")
    (folder / "containers.conf").write_text(images.configuration(folder / "tmp"))
    (folder / "storage.conf").write_text(
        f'[storage]\ndriver="vfs"\nrunroot="{folder}/run"\ngraphroot="{folder}/storage"\n'
    )
    names = {"CONTAINERS_CONF": "containers.conf", "CONTAINERS_STORAGE_CONF": "storage.conf"}
    variables = {name: str(folder / file) for name, file in names.items()}

    def run(*words: str, check: bool = True) -> str:
        done = subprocess.run(["podman", *words], env={**os.environ, **variables}, capture_output=True, check=False)
        if check and done.returncode:
            raise AssertionError(done.stderr.decode())
        return (done.stdout + (b"" if check else done.stderr)).decode()

    images.make_image(images.own_python(), folder / "image.tar")
    imported = run("import", str(folder / "image.tar"), IMAGE, check=False)
    tried = run("run", "--rm", "--network", "host", "--pid", "host", IMAGE, "cat", MARK, check=False)
    requires(tried == "analysis\n", f"needs a podman that runs containers: {imported[-200:]} {tried[-200:]}")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield run
    run("rm", "--all", "--force", "--time", "0")
    run("rmi", "--all", "--force")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def up(podman: Podman, offload: Offload, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Offload]:
    """A deployment that is up, in a project of its own."""
    monkeypatch.delenv("OFFLOAD_DEPLOYMENT", raising=False)
    project = tmp_path / "project"
    project.mkdir()
    (project / "task.py").write_text(TASK)
    monkeypatch.chdir(project)
    done = offload(*UP, "--port", str(free_range(1)[0]), timeout=200)
    assert done.returncode == 0, done.stderr.decode()
    yield offload
    offload("down")
    eventually(lambda: IMAGE not in podman("ps", "--all"))


def task(home: Path) -> str:
    done = subprocess.run(
        [sys.executable, "task.py"],
        env={**os.environ, "OFFLOAD_DEPLOYMENT": "local", "OFFLOAD_HOME": str(home)},
        capture_output=True,
        timeout=120,
        check=False,
    )
    return done.stdout.decode() or done.stderr.decode()


def test_all_of_it_runs_in_the_container(up: Offload, home: Path, podman: Podman) -> None:
    assert task(home) == f"analysis {os.getuid()} 3 False\n"
    assert task(home) == f"analysis {os.getuid()} 3 True\n"
    assert Path("seen.txt").read_text() == "once\n"
    assert Path("seen.txt").stat().st_uid == os.getuid()
    Path("words.txt").write_text("pear\nfig\n")
    words = ["run", "--on", "local", "--output", "out.txt", "--", "sh", "-c", f"cat {MARK}; sort words.txt > out.txt"]
    first = up(*words)
    assert first.stdout == b"analysis\n", first.stderr
    assert Path("out.txt").read_text() == "fig\npear\n"
    assert b"recalled" in up(*words).stderr
    # a program that the image does not have, or has otherwise, is no reason for a wrong result
    other = up("run", "--on", "local", "--", "tac", "words.txt")
    assert other.returncode != 0
    assert b"tac" in other.stderr
    status = json.loads(up("status", "local", "--json").stdout)
    assert [worker["state"] for worker in status["workers"]] == ["connected"]
    listed = podman("ps", "--format", "{{.Names}}").split()
    assert [name.startswith("offload-local-") for name in listed] == [True]
    assert b"up already" in up(*UP).stderr
    assert up("down").returncode == 0
    assert IMAGE not in podman("ps", "--all")


def test_what_comes_back_and_what_ends_when_something_is_killed(up: Offload, home: Path, podman: Podman) -> None:
    place = Registry(str(home)).get("local")
    assert task(home).endswith("False\n")
    head = contact_of(place).head["pid"]
    os.kill(head, signal.SIGKILL)
    eventually(lambda: json.loads(up("list", "--json").stdout)[0]["state"] == "dead")
    assert up("up", "local", timeout=200).returncode == 0
    assert task(home).endswith("True\n")
    assert contact_of(place).head["pid"] != head
    podman("kill", podman("ps", "--quiet").strip())
    eventually(lambda: json.loads(up("list", "--json").stdout)[0]["state"] == "dead")
    done = up("up", "local", timeout=200)
    assert done.returncode == 0, done.stderr.decode()
    assert task(home).endswith("True\n")
    assert up("run", "--on", "local", "--", "cat", MARK).stdout == b"analysis\n"
    assert up("down").returncode == 0
    # A deployment of one program ends with it, however that ends.
    port = free_range(1)[0]
    program = f"""
import os, offload
with offload.Deployment("held", workers=1, port={port}, environment="container:{IMAGE}") as held:
    with held.get_client() as client:
        print(client.submit(lambda: open("{MARK}").read()).result(), flush=True)
    os.kill(os.getpid(), 9)
"""
    words = [sys.executable, "-c", program]
    done = subprocess.run(words, capture_output=True, timeout=200, check=False)
    assert done.stdout == b"analysis\n\n", done.stderr.decode()
    eventually(lambda: state(up) == "down")
    up("down", "held")
    eventually(lambda: "offload-held" not in podman("ps", "--all"))


def state(up: Offload) -> str:
    return next(str(one["state"]) for one in json.loads(up("list", "--json").stdout) if one["name"] == "held")


def test_images_that_cannot_be_used(podman: Podman, offload: Offload, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "usr/bin").mkdir(parents=True)
    (root / "file").touch()
    subprocess.run(["tar", "-C", root, "-cf", tmp_path / "none.tar", "."], check=True)
    podman("import", str(tmp_path / "none.tar"), "localhost/none")
    lie = "#!/bin/sh\necho '@@python 3.8.10 cpython - /usr/bin/python3'\n"
    container = podman("create", IMAGE, "sh").strip()
    for name in ("python3", f"python{sys.version_info[0]}.{sys.version_info[1]}"):
        (tmp_path / "lie").write_text(lie)
        (tmp_path / "lie").chmod(0o755)
        podman("cp", str(tmp_path / "lie"), f"{container}:/usr/bin/{name}")
    podman("commit", container, "localhost/old")
    for choice, reason, hint in (
        ("container:localhost/absent:1", "does not have the image localhost/absent:1", "podman pull"),
        ("container:localhost/none", "has no Python on its PATH", "use an image that has it"),
        ("container:localhost/old", "has Python 3.8.10", "use an image that has it"),
    ):
        done = offload("up", "--environment", choice)
        assert done.returncode == 1, done.stderr
        assert reason in done.stderr.decode() and hint in done.stderr.decode()
        assert b"Traceback" not in done.stderr
    assert offload("list").stdout == b""


def test_without_a_program_that_runs_containers(offload: Offload, tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "uname", "id", "mkdir", "sed", "tail", "grep", "sort", "cat"):
        (tools / name).symlink_to(requires_program(name))
    for choice, names in (("container:x", "podman or docker"), ("docker:x", "docker")):
        done = offload("up", "--environment", choice, env={"PATH": str(tools)})
        assert (done.returncode, done.stdout) == (1, b""), done.stderr
        assert f"runs no containers: {names} is not there" in done.stderr.decode()
    assert offload("list").stdout == b""
