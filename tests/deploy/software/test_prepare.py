"""What a user may choose: the software here, or what is there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from offload.environments.choice import is_image, parse_choice
from offload.environments.compare import differences
from offload.environments.prepare import prepare
from offload.environments.probe import wanted_version
from offload.environments.sync import synced
from offload.errors import EnvironmentDiffersError, OffloadError, UsageError
from tests.deploy.software.machines import Elsewhere, all_of, install, own_python, site_directory


def quiet(line: str) -> None:
    pass


@pytest.fixture
def site(tmp_path: Path) -> Elsewhere:
    return Elsewhere(tmp_path / "home", f"{own_python(tmp_path / 'python')}:/usr/bin:/bin", PIP_NO_INDEX="1")


def output(python: str, program: str) -> str:
    done = subprocess.run([python, "-c", program], capture_output=True, text=True, cwd="/", timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    "choice",
    [
        "sink",
        "",
        "conda:",
        "python:",
        "python:relative/python",
        "container:",
        "relative",
        "sync:relative",
        "check:",
    ],
)
def test_what_is_no_choice(site: Elsewhere, choice: str) -> None:
    with pytest.raises(UsageError):
        prepare(site, choice, "", quiet)
    assert site.runs == []


def test_images() -> None:
    assert parse_choice("container:docker.io/library/python:3.11") == (
        "container",
        "",
        "docker.io/library/python:3.11",
    )
    assert parse_choice("docker:dind") == ("docker", "", "dind")
    assert [is_image(choice) for choice in ("podman:x", "container:x", "docker:", "conda:x", "/docker:x")] == [
        *(True, True),
        *(False, False, False),
    ]


def test_a_name_that_is_not_installed_here(site: Elsewhere) -> None:
    with pytest.raises(UsageError, match="no-such-thing is not installed here"):
        prepare(site, "sync", "", quiet, only=["No_Such.Thing"])


def test_the_same_software_is_accepted_as_it_is(site: Elsewhere) -> None:
    done = prepare(site, f"check:{sys.executable}", "", quiet)
    assert (done.python, done.differences, done.environment) == (sys.executable, (), None)
    assert differences(site, f"python:{sys.executable}") == (sys.executable, [])


def test_other_software_is_refused_by_name(site: Elsewhere, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentDiffersError, match=r"has no offload, and \d+ distributions .* differ\n.*sync"):
        prepare(site, "check", "", quiet)
    here = site_directory(tmp_path / "there")
    install(here, "offload", "0.0.1")
    install(here, "dask", "2020.1")
    other = synced(site, "", all_of(here), quiet)
    with pytest.raises(EnvironmentDiffersError, match=r"dask \S+ here, 2020.1 there; .*offload \S+ here, 0.0.1 there"):
        prepare(site, f"check:{other.python}", "", quiet)
    python, found = differences(site, other.python)
    assert python == other.python
    assert any(line.startswith("numpy ") and line.endswith(" here, not installed there") for line in found)
    assert not any(line.startswith(("pip ", "setuptools ")) for line in found), "tools do not count"


def test_another_minor_version_of_python(site: Elsewhere, tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.write_text("#!/bin/sh\necho '3.6.8 cpython m-'\n")
    old.chmod(0o755)
    for choice in ("check", "sync"):
        with pytest.raises(OffloadError, match=f"is Python 3.6.8; Python {wanted_version()} is needed"):
            prepare(site, f"{choice}:{old}", "", quiet)


@pytest.mark.real
def test_the_software_here_is_brought_there(site: Elsewhere, tmp_path: Path) -> None:
    told: list[str] = []
    done = prepare(site, "sync", "", told.append, only=["numpy"])
    assert done.built, told
    program = (
        "import offload, distributed, numpy; print(offload.__version__, distributed.__version__, numpy.__version__)"
    )
    assert output(done.python, program) == output(sys.executable, program)
    checked = prepare(site, f"check:{done.python}", "", quiet)
    assert not any("numpy" in line or "dask" in line for line in checked.differences)
    site.runs.clear()
    assert prepare(site, "sync", "", quiet, only=["numpy"]).python == done.python
    assert len(site.runs) == 1
    # A Python of the user's own, without offload: it gets it beside, and keeps what it has.
    there = site_directory(tmp_path / "there")
    install(there, "special", "7")
    own = synced(site, "", all_of(there), quiet)
    beside = prepare(site, f"python:{own.python}", "", told.append)
    assert beside.python != own.python
    assert output(beside.python, "import special, offload, distributed; print(special.version)") == "7"
    again = prepare(site, f"python:{own.python}", "", quiet)
    assert (again.python, again.built) == (beside.python, False)
    command = Path(beside.python).parent / "offload"
    assert subprocess.run([command, "--version"], capture_output=True, check=True, timeout=60).stdout.startswith(
        b"offload"
    )
