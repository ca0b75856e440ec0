"""``offload install-service``: a unit for the user's systemd."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest

from offload.deploy.lifecycle.local import state
from offload.registry.deployments import Registry
from tests.conftest import Offload
from tests.deploy.test_local import free_range
from tests.requirements import requires_program

NEXT = """\
systemctl --user daemon-reload
systemctl --user enable --now offload-big.service
loginctl enable-linger   # to have it from boot on, and after you have logged out
"""


@pytest.fixture
def units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the units are to be written."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "systemd" / "user"


def test_it_is_written_shown_and_removed(offload: Offload, units: Path, command: Path, home: Path) -> None:
    shown = offload("install-service", "big", "--print", "--", "--workers", "3")
    assert shown.returncode == 0
    assert not units.exists()
    done = offload("install-service", "big", "--", "--workers", "3")
    assert (done.returncode, done.stdout.decode()) == (0, NEXT)
    unit = units / "offload-big.service"
    assert unit.read_bytes() == shown.stdout
    lines = unit.read_text().splitlines()
    assert f'ExecStart="{command}" "up" "--foreground" "--name" "big" "--workers" "3"' in lines
    assert f'Environment="OFFLOAD_HOME={home}"' in lines
    assert "Restart=on-failure" in lines
    assert f"WorkingDirectory={os.getcwd()}" in lines  # whatever paths are among the options
    assert offload("install-service", "big").returncode == 0  # its own is replaced
    assert "--workers" not in unit.read_text()
    removed = offload("install-service", "big", "--remove")
    assert removed.returncode == 0
    assert b"systemctl --user stop offload-big.service" in removed.stdout
    assert not unit.exists()
    again = offload("install-service", "big", "--remove")
    assert (again.returncode, b"there is no " in again.stderr) == (1, True)


def test_what_others_have_written_is_left_alone(offload: Offload, units: Path) -> None:
    units.mkdir(parents=True)
    unit = units / "offload-big.service"
    unit.write_text("[Service]\nExecStart=/bin/true\n")
    for options in ([], ["--remove"]):
        done = offload("install-service", "big", *options)
        assert (done.returncode, b"was not written by offload" in done.stderr) == (1, True)
    assert unit.read_text() == "[Service]\nExecStart=/bin/true\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["Big One"], b"cannot be the name"),
        (["big", "--", "--wurkers", "3"], b"--wurkers"),
        (["big", "--", "--foreground"], b"--foreground is not for here"),
        (["big", "--", "--json"], b"--json is not for here"),
        (["big", "--remove", "--print"], b"--remove goes alone"),
    ],
)
def test_what_is_refused(offload: Offload, units: Path, words: list[str], message: bytes) -> None:
    done = offload("install-service", *words)
    assert (done.returncode, message in done.stderr) == (2, True)
    assert not units.exists()


@pytest.mark.real
def test_systemd_understands_it(offload: Offload, units: Path, tmp_path: Path) -> None:
    program = requires_program("systemd-analyze")
    odd = {"OFFLOAD_HOME": str(tmp_path / 'a "b" 100% $HOME \\n')}
    assert offload("install-service", "big", env=odd).returncode == 0
    (tmp_path / "run").mkdir(mode=0o700)
    done = subprocess.run(
        [program, "--user", "verify", units / "offload-big.service"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path / "run"), "HOME": str(tmp_path)},
    )
    assert (done.returncode, done.stderr) == (0, "")


def catches_sigterm(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)


@pytest.mark.real
def test_what_it_starts_runs_and_ends_when_it_is_told_to(offload: Offload, units: Path, home: Path) -> None:
    shown = offload("install-service", "big", "--print", "--", "--workers", "1").stdout.decode()
    (line,) = [line for line in shown.splitlines() if line.startswith("ExecStart=")]
    registry = Registry(str(home))
    deadline = time.monotonic() + 60
    with subprocess.Popen(shlex.split(line.removeprefix("ExecStart=")), stdin=subprocess.DEVNULL) as process:
        try:
            while state(registry.place("big")) != "running" or not catches_sigterm(process.pid):
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert registry.names() == []


def test_choices_that_cannot_be_are_refused_now(offload: Offload) -> None:
    for words in (["--workers", "-1"], ["--memory-limit", "foo"], ["--ports", "1-2"], ["nowhere"]):
        refused = offload("install-service", "big", "--print", "--", *words)
        assert refused.returncode in (1, 2), words
        assert not refused.stdout


@pytest.mark.real
def test_one_that_is_up_keeps_its_options(offload: Offload, units: Path, home: Path, tmp_path: Path) -> None:
    options = "--workers 1 --memory-limit 1GB --no-nanny --ports {}-{} --scratch {} --idle 600 --resources GPU=1"
    first, last = free_range(12)
    words = options.format(first, last, tmp_path / "scratch").split()
    (tmp_path / "scratch").mkdir()
    assert offload("up", "--name", "big", *words).returncode == 0
    try:
        shown = offload("install-service", "big", "--print")
        given = offload("install-service", "big", "--print", "--", "--workers", "2")
    finally:
        assert offload("down", "big").returncode == 0
    assert b"with the options that big has: --workers 1 " in shown.stderr
    (line,) = [line for line in shown.stdout.decode().splitlines() if line.startswith("ExecStart=")]
    found = shlex.split(line.removeprefix("ExecStart="))[5:]
    assert sorted(found) == sorted(words)
    assert b'"big" "--workers" "2"\n' in given.stdout
    assert b'"--name" "big"\n' in offload("install-service", "big", "--print").stdout
