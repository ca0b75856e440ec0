"""``offload run --env``: a named environment, that counts by what is installed in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

import offload as package
from tests.cli.conftest import Inside


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A real virtual environment, without pip, with one distribution and one program in it."""
    prefix = tmp_path / "work" / "env"
    venv.create(prefix, symlinks=True)
    install(prefix, "1.0")
    program = prefix / "bin" / "which-env"
    program.write_text(f"#!{prefix}/bin/python\nimport numbers_of_env\nprint(numbers_of_env.VERSION)\n")
    program.chmod(0o755)
    return prefix


def install(prefix: Path, version: str) -> None:
    (site,) = prefix.glob("lib/python*/site-packages")
    for old in site.glob("numbers_of_env-*.dist-info"):
        old.rename(site / f"numbers_of_env-{version}.dist-info")
    (site / f"numbers_of_env-{version}.dist-info").mkdir(exist_ok=True)
    (site / "numbers_of_env.py").write_text(f"VERSION = '{version}'\n")
    for compiled in site.glob("__pycache__/numbers_of_env.*"):  # of the same size and second
        compiled.unlink()


def run(inside: Inside, environment: Path, *words: str, name: str = "env") -> tuple[str, bool]:
    done = inside("run", "--env", name, "--", *words, cwd=environment.parent)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode(), b"recalled" in done.stderr


@pytest.mark.parametrize(
    "words",
    [["which-env"], ["python", "-c", "import numbers_of_env as n; print(n.VERSION)"], ["sh", "-c", "which-env"]],
)
def test_programs_and_packages_are_the_environments(inside: Inside, environment: Path, words: list[str]) -> None:
    assert run(inside, environment, *words) == ("1.0\n", False)
    assert run(inside, environment, *words) == ("1.0\n", True)
    install(environment, "1.1")
    assert run(inside, environment, *words) == ("1.1\n", False)
    told = json.loads(inside("why", "--json", "--env", "env", "--", *words, cwd=environment.parent).stdout)
    assert told["recalled"] is True


def test_a_script_of_a_script_counts_the_whole_environment(inside: Inside, environment: Path) -> None:
    (environment.parent / "job.sh").write_text("#!/bin/sh\nwhich-env\n")
    (environment.parent / "job.sh").chmod(0o755)
    assert run(inside, environment, "./job.sh") == ("1.0\n", False)
    install(environment, "1.1")
    assert run(inside, environment, "./job.sh") == ("1.1\n", False)
    assert json.loads(inside("verify", "--json").stdout)["not_run"][0]["reasons"] == [
        "other packages are installed beside the program than when it ran"
    ]


def test_by_path_or_name_it_is_the_same(inside: Inside, environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(inside, environment, "python", "-c", "print(1)") == ("1\n", False)
    assert run(inside, environment, "python", "-c", "print(1)", name="./env/") == ("1\n", True)
    assert run(inside, environment, "python", "-c", "print(1)", name=str(environment)) == ("1\n", True)
    monkeypatch.setenv("HOME", str(environment.parent))
    (environment.parent / ".conda").mkdir()
    named = environment.parent / "elsewhere" / "science"
    named.parent.mkdir()
    environment.rename(named)
    (environment.parent / ".conda" / "environments.txt").write_text(f"{named}\n")
    assert run(inside, environment, "python", "-c", "print(1)", name="science") == ("1\n", True)


def test_a_conda_environment(inside: Inside, tmp_path: Path) -> None:
    for part in ("bin", "conda-meta"):
        (tmp_path / "conda" / part).mkdir(parents=True)
    (tmp_path / "conda" / "conda-meta" / "zlib-1.2-h1.json").write_text("{}")
    program = tmp_path / "conda" / "bin" / "tool"
    program.write_text("#!/bin/sh\necho $CONDA_PREFIX\n")
    program.chmod(0o755)
    assert run(inside, tmp_path / "conda", "tool", name="conda") == (f"{tmp_path}/conda\n", False)
    (tmp_path / "conda" / "conda-meta" / "zlib-1.2-h1.json").rename(
        tmp_path / "conda" / "conda-meta" / "zlib-1.3-h0.json"
    )
    told = json.loads(inside("why", "--json", "--env", "conda", "--", "tool", cwd=tmp_path).stdout)
    assert told["recalled"] is False
    assert [difference["what"] for difference in told["differences"]] == ["software"]
    text = inside("why", "--env", "conda", "--", "tool", cwd=tmp_path).stdout.decode()
    assert "other packages are installed beside the program: zlib 1.2 h1 -> 1.3" in text
    inside("run", "--env", "conda", "--", "tool", cwd=tmp_path)
    newest = json.loads(inside("history", "--json").stdout)[0]["transformation"]
    assert "software: " in inside("why", newest).stdout.decode()
    assert "    zlib 1.2 h1 -> 1.3" in inside("why", newest).stdout.decode()


def test_projects_installed_editable_count_by_content(inside: Inside, environment: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "mine.py").write_text("X = 1\n")
    (site,) = environment.glob("lib/python*/site-packages")
    (site / "mine.pth").write_text(f"{project}\n")
    (site / "mine-1.0.dist-info").mkdir()
    origin = {"url": project.as_uri(), "dir_info": {"editable": True}}
    (site / "mine-1.0.dist-info" / "direct_url.json").write_text(json.dumps(origin))
    words = ["python", "-B", "-c", "import mine; print(mine.X)"]
    assert run(inside, environment, *words) == ("1\n", False)
    assert run(inside, environment, *words) == ("1\n", True)
    (project / "mine.py").write_text("X = 2\n")
    assert run(inside, environment, *words) == ("2\n", False)


def test_from_python(environment: Path, home: Path) -> None:
    result = package.run(["python", "-c", "import sys; print(sys.prefix)"], env=environment)
    assert result.lines() == [str(environment)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nowhere", "there is no environment nowhere"),
        ("lock.txt", "--env lock.txt is a file: it says what should be installed, not what is"),
        ("plain", "--env plain is no virtual or conda environment"),
    ],
)
def test_what_is_no_environment(inside: Inside, tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "lock.txt").write_text("numpy==2.0\n")
    (tmp_path / "plain").mkdir()
    done = inside("run", "--env", name, "--", "true", cwd=tmp_path)
    assert done.returncode == 125
    assert text in done.stderr.decode()


def test_what_runs_a_script_counts(inside: Inside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    runner = tmp_path / "bin" / "runner"
    runner.write_text("#!/bin/sh\necho one\n")
    runner.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    for first_line in ("#!/usr/bin/env runner", f"#!{sys.executable}"):
        (tmp_path / "job").write_text(f"{first_line}\n")
        (tmp_path / "job").chmod(0o755)
        assert inside("run", "--", "./job", cwd=tmp_path).returncode == 0
        assert b"recalled" in inside("run", "--", "./job", cwd=tmp_path).stderr
    (tmp_path / "job").write_text("#!/usr/bin/env runner\n")
    runner.write_text("#!/bin/sh\necho two\n")
    told = json.loads(inside("why", "--json", "--", "./job", cwd=tmp_path).stdout)
    assert [(d["what"], d["name"]) for d in told["differences"]][-1] == ("program", "runner")
    assert inside("run", "--", "./job", cwd=tmp_path).stdout == b"two\n"
    assert subprocess.run([tmp_path / "job"], capture_output=True, check=True, timeout=60).stdout == b"two\n"
