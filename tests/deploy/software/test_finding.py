"""Python is found on the other machine, or it is said what there is instead."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from offload.environments.probe import Looked, look, no_python, wanted_version
from offload.errors import OffloadError, UsageError
from tests.deploy.software.machines import Elsewhere, own_python

MINOR = sys.version_info[1]
NAME = f"python3.{MINOR}"
TOOLS = ("sh", "uname", "sed", "touch", "printf", "env")


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A directory for PATH with the usual tools, and no Python."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS:
        found = next(path for path in (Path("/bin", tool), Path("/usr/bin", tool)) if path.exists())
        (folder / tool).symlink_to(found)
    return folder


def fake(path: Path, answer: str) -> Path:
    """A program that answers the question which Python it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{answer}\n")
    path.chmod(0o755)
    return path


def real(path: Path) -> Path:
    """The Python that runs the tests, at another place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text((Path(own_python(path.parent)) / NAME).read_text())
    path.chmod(0o755)
    return path


def test_on_the_path(tmp_path: Path) -> None:
    folder = own_python(tmp_path / "python")
    looked = look(Elsewhere(tmp_path / "home", f"{folder}:/usr/bin:/bin"))
    assert (looked.python, looked.ready) == (f"{folder}/{NAME}", None)
    assert looked.home == str(tmp_path / "home/.local/share/offload/environments")


def test_an_old_one_first_on_the_path(tmp_path: Path, bare: Path) -> None:
    old = fake(tmp_path / "old/python3", "echo '3.6.8 cpython m-'")
    right = real(tmp_path / "right/python3")
    looked = look(Elsewhere(tmp_path / "home", f"{old.parent}:{right.parent}:{bare}"))
    assert looked.python in (str(right), f"{right.parent}/{NAME}")


@pytest.mark.parametrize(
    "place",
    [
        f".local/bin/{NAME}",
        f".pyenv/versions/3.{MINOR}.1/bin/python3",
        f".local/share/uv/python/cpython-3.{MINOR}.1/bin/python3",
        "miniforge3/bin/python",
        f"miniconda3/envs/analysis/bin/{NAME}",
    ],
)
def test_below_the_home(tmp_path: Path, bare: Path, place: str) -> None:
    home = tmp_path / "home"
    path = fake(home / place, f'exec {sys.executable} "$@"')
    for root in ("miniforge3", "miniconda3"):
        if place.startswith(root):
            (home / root / "conda-meta").mkdir()
    site = Elsewhere(home, str(bare))
    looked = look(site, conda="analysis") if "envs" in place else look(site)
    if "/envs/" in place:
        assert looked.python is None, "conda's Python is called python"
        fake(path.parent / "python", f'exec {sys.executable} "$@"')
        looked = look(site, conda="analysis")
        assert looked.python == str(path.parent / "python")
    elif looked.python != str(path):  # this machine has one in the usual places, which go first
        assert looked.python in (f"/usr/bin/{NAME}", f"/usr/local/bin/{NAME}")


def test_what_a_login_shell_prints_does_not_count(tmp_path: Path) -> None:
    folder = own_python(tmp_path / "python")
    noise = "echo found /etc/passwd; echo 'python 1 2 3'; echo oops >&2"
    site = Elsewhere(tmp_path / "home", f"{folder}:/usr/bin:/bin", shell=noise)
    assert look(site).python == f"{folder}/{NAME}"
    with pytest.raises(OffloadError, match=r"answered something else\n.*start-up files"):
        look(Elsewhere(tmp_path / "home", shell="echo hello; exit 0"))


def test_where_environments_are(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert look(Elsewhere(home, OFFLOAD_HOME="/scratch/me")).home == "/scratch/me/environments"
    assert look(Elsewhere(home, OFFLOAD_HOME="~/here")).home == f"{home}/here/environments"
    assert look(Elsewhere(home, OFFLOAD_HOME="here")).home == f"{Path.cwd()}/here/environments"
    assert look(Elsewhere(home, XDG_DATA_HOME="/data")).home == "/data/offload/environments"
    assert look(Elsewhere(home, OFFLOAD_HOME="/scratch/me"), "~/mine").home == f"{home}/mine"
    assert look(Elsewhere(home), "/mine").home == "/mine"


def test_a_python_that_is_named(tmp_path: Path) -> None:
    home = tmp_path / "home"
    path = fake(home / "venv/bin/python", f'exec {sys.executable} "$@"')
    site = Elsewhere(home)
    for chosen in (str(path), "~/venv/bin/python", str(home / "venv")):
        assert look(site, chosen=chosen).python == str(path)


def test_which_pythons_there_are_instead(tmp_path: Path) -> None:
    site = Elsewhere(tmp_path / "home")
    wanted = wanted_version()
    old = fake(tmp_path / "old/python", "echo '3.6.8 cpython m-'")
    error = no_python(site, look(site, chosen=str(old)), str(old), "")
    assert error.message == f"{old} on elsewhere is Python 3.6.8; Python {wanted} is needed, as here"
    assert "--environment sync:/path" in (error.hint or "")
    assert "does not run" in no_python(site, look(site, chosen="/bin/false"), "/bin/false", "").message
    assert "is not there" in no_python(site, look(site, chosen="/no/python"), "/no/python", "").message
    fake(tmp_path / "home/miniconda3/envs/old/bin/python", "echo '3.6.8 cpython m-'")
    for name, text in (
        ("old", "environment old on elsewhere has Python 3.6.8"),
        ("new", "has no conda environment new"),
    ):
        assert text in no_python(site, look(site, conda=name), "", name).message
    pypy = fake(tmp_path / "pypy/python", f"echo '{wanted}.9 pypy -'")
    assert f"is Python pypy {wanted}.9" in no_python(site, look(site, chosen=str(pypy)), str(pypy), "").message


def test_the_words_where_there_is_none() -> None:
    site = Elsewhere(Path("/"))
    others = (("/usr/bin/python3", "3.6.8"), ("/opt/python", "does not run"))
    error = no_python(site, Looked("/h", "Linux", None, None, others, ()), "", "")
    wanted = wanted_version()
    assert error.message == (
        f"elsewhere has no Python {wanted}, as it runs here: there is Python 3.6.8 (/usr/bin/python3), "
        "/opt/python does not run"
    )
    assert f"uv python install {wanted}" in (error.hint or "")
    error = no_python(site, Looked("/h", "Linux", None, None, (), ("python/3.11.4",)), "", "")
    assert error.message == "elsewhere has no Python at all, where one usually is"
    assert f"module load python/3.11.4; which python{wanted}" in (error.hint or "")


def test_modules_are_found(tmp_path: Path, bare: Path) -> None:
    wanted = wanted_version()
    for name in (f"python/{wanted}.4.lua", "python/2.7", f"lang/Python/{wanted}.2"):
        path = tmp_path / "modules" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    looked = look(Elsewhere(tmp_path / "home", str(bare), MODULEPATH=f"/none:{tmp_path}/modules"))
    if looked.python is None:  # else this machine has one in the usual places
        assert looked.modules == (f"python/{wanted}.4", f"lang/Python/{wanted}.2")


def test_a_name_that_cannot_be_one_of_conda(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no name of a conda environment"):
        look(Elsewhere(tmp_path / "home"), conda="a; rm -r")
