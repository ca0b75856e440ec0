"""Calls that need another environment than the workers of another machine have: it is made there, once."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

import pytest

from tests.deploy.remote.conftest import PYTHON
from tests.deploy.test_environment import wheel
from tests.lab.lab import Lab

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

HOME = "/home/alice/.local/share/offload/environments"
PROGRAM = """
import os, sys
import offload

@offload.task(effects="ignore")
def measured(n):
    import rulers
    return rulers.LENGTH * n, sys.prefix

@offload.task(environment="old")
def older(n):
    import rulers
    return rulers.LENGTH * n

if __name__ == "__main__":
    if sys.argv[1:] == ["older"]:
        print(older.submit(1).result(300), older(2))
    else:
        found = offload.gather(measured.map(range(20)), timeout=300)
        print(*sorted({prefix for _, prefix in found}), [length for length, _ in found] == [
            n * rulers for n in range(20) for rulers in [int(sys.argv[1])]])
"""


def environment(lab: Lab, name: str, version: str) -> str:
    """Make an environment on the laptop that has what its own has, and a library; return its Python."""
    place = lab.home / name
    lab.run([lab.python, "-m", "venv", "--without-pip", place], check=True)
    (site,) = place.glob("lib/python*/site-packages")
    (behind,) = lab.laptop_venv.glob("lib/python*/site-packages")
    (site / "behind.pth").write_text(f"{behind}\n")
    with zipfile.ZipFile(wheel(lab.home, version)) as archive:
        archive.extractall(site)
    return str(place / "bin/python")


def up(lab: Lab, *options: str) -> None:
    assert lab.offload_venv
    done = lab.offload("up", "ssh://alice@h1", "--workers", "2", *PYTHON, *options, timeout=280)
    assert done.returncode == 0, done.stderr


def program(lab: Lab, python: str, *words: str, **variables: str) -> subprocess.Popen[str]:
    (lab.home / "program.py").write_text(PROGRAM)
    pipe = subprocess.PIPE
    env = {"OFFLOAD_DEPLOYMENT": "h1", **variables}
    started: subprocess.Popen[str] = lab.start(
        [python, "program.py", *words], env=env, cwd=lab.home, stdout=pipe, stderr=pipe, text=True
    )
    return started


def told(started: subprocess.Popen[str]) -> tuple[str, str]:
    out, err = started.communicate(timeout=400)
    print(err)
    assert started.returncode == 0, err
    return out.strip(), err


def made(lab: Lab, host: str = "h1") -> list[str]:
    return lab.host(host).exec(f"ls -d {HOME}/3.*-Linux-* 2>/dev/null || true").stdout.split()


def test_two_programs_with_other_libraries_on_one_deployment(lab: Lab) -> None:
    ones, twos = environment(lab, "ones", "1.5"), environment(lab, "old", "2.0")
    up(lab)
    first = program(lab, ones, "10"), program(lab, twos, "20")
    prefixes = []
    for started in first:
        out, err = told(started)
        assert "has another environment than this process: rulers " in err
        assert "making one like this there" in err
        assert "h1: making an environment of" in err
        assert "h1: the environment is there" in err
        prefixes.append(out.removesuffix(" True"))
    assert sorted(prefixes) == made(lab)
    for python, length in ((ones, "10"), (twos, "20")):
        out, err = told(program(lab, python, length))
        assert out.endswith(" True")
        assert err == ""  # recalled
    # A task that names an environment of the laptop, in a program of another one.
    out, err = told(program(lab, ones, "older"))
    assert out == "20 40"
    assert "making" not in err
    assert len(made(lab)) == 2


def test_what_stands_in_the_way_is_told(lab: Lab) -> None:
    ones = environment(lab, "ones", "1.5")
    up(lab)
    started = program(lab, ones, "10", OFFLOAD_MAKE_ENVIRONMENTS="0")
    _, err = started.communicate(timeout=200)
    assert "rulers 1.5 here, not installed there" in err
    assert "making" not in err
    assert "offload environment build" in err
    lab.host("h1").small_disk("/home/alice/.local/share/offload/environments", "5m", user="alice")
    _, err = program(lab, ones, "10").communicate(timeout=200)
    assert f"nor can it be made there: {HOME} on h1 has " in err
    assert made(lab) == []


def test_an_environment_that_was_built_before_is_used(lab: Lab) -> None:
    ones = environment(lab, "ones", "1.5")
    up(lab)
    done = lab.run([ones, "-m", "offload", "environment", "build", "ssh://alice@h1"], timeout=280)
    assert done.returncode == 0, done.stderr
    out, err = told(program(lab, ones, "10", OFFLOAD_MAKE_ENVIRONMENTS="0"))
    assert out == f"{Path(done.stdout).parent.parent} True"
    assert "making" not in err
