"""``offload doctor`` of this machine."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from offload.doctor import local as here
from offload.doctor import trial_job
from offload.doctor.options import Options
from offload.doctor.result import Result, failed
from tests.cli.conftest import Inside


def test_of_this_machine(inside: Inside, home: Path, tmp_path: Path) -> None:
    done = inside("doctor", "--json", "--ports", "60001-60010", "--scratch", tmp_path)
    found = {one["check"]: one for one in json.loads(done.stdout)}
    checks = ["Python", "versions", "clock", "home", "disk space", "scratch", "open files", "processes", "ports", "ssh"]
    assert [check for check in found if check != "/dev/shm"] == checks
    assert found["versions"]["outcome"] == "pass", found["versions"]
    assert found["home"]["found"].startswith(str(home))
    assert not home.exists()  # looking changes nothing
    assert done.returncode == int(any(one["outcome"] == "fail" for one in found.values()))


def test_what_fails_is_told_with_what_to_do(inside: Inside, tmp_path: Path) -> None:
    done = inside("doctor", "--scratch", tmp_path / "nowhere", "--host", "192.0.2.1", "--ports", "60001-60010")
    assert done.returncode == 1
    lines = done.stdout.decode().splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("fail     scratch "))
    assert lines[at + 1].strip() == "-> give another one: --scratch DIR"
    assert "192.0.2.1 is no address of this machine" in done.stdout.decode()
    assert b"offload: 2 of " in done.stderr


def test_words_that_make_no_sense(inside: Inside) -> None:
    for words in (["--route", "direct"], ["--ports", "x"], ["ssh://a b"]):
        done = inside("doctor", *words)
        assert (done.returncode, done.stdout.count(b"\n") <= 1) == (2, True), done.stderr
    assert b"there is no deployment nobody" in inside("doctor", "nobody").stderr


def test_without_ssh_other_machines_are_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFLOAD_SSH", "no-such-ssh")
    assert here.ssh().outcome == "warning"
    monkeypatch.setenv("OFFLOAD_SSH", "echo OpenSSH_6.6p1, OpenSSL")
    assert "is old" in here.ssh().found
    monkeypatch.setenv("OFFLOAD_SSH", "echo Dropbear")
    assert "not OpenSSH" in here.ssh().found


def test_a_clock_that_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1.0)
    assert here.clock().outcome == "fail"


def test_all_that_jobs_ask_for_can_be_asked_about(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    given = []

    def examine(registry: object, target: str, asked: Options) -> Iterator[Result]:
        given.append(asked.job)
        yield failed("request", "refused", "it was given:\n    #SBATCH -N 2")

    monkeypatch.setattr("offload.doctor.examine.examine", examine)
    words = ["--nodes", "2", "--directive=--exclude=n1", "--prologue", "module load x"]
    done = inside("doctor", "slurm://", *words)
    assert done.stdout.decode().splitlines()[1:] == [f"{'':21}  -> it was given:", f"{'':21}         #SBATCH -N 2"]
    assert given == [{"nodes": 2, "directives": ["--exclude=n1"], "prologue": ["module load x"]}]


def test_a_trial_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    told = trial_job.prepare({"home": str(tmp_path / "file" / "home"), "program": ""})
    assert told == {"folder": "", "error": "Not a directory"}


@pytest.mark.real
def test_of_a_deployment_here(inside: Inside, home: Path) -> None:
    assert inside("up", "--name", "big", "--workers", "1").returncode == 0
    try:
        done = inside("doctor", "big", "--json")
        found = {one["check"]: one for one in json.loads(done.stdout)}
        assert found["deployment"]["found"] == "big is running"
        assert sum(check.startswith("port ") for check in found) == 4
        head = json.loads((home / "deployments/big/contact.json").read_text())["head"]
        os.kill(head["pid"], signal.SIGKILL)
        lost = json.loads(inside("doctor", "big", "--json").stdout)
        (dead,) = [one for one in lost if one["check"] == "deployment"]
        assert (dead["outcome"], dead["found"], dead["hint"]) == ("fail", "big is dead", "offload up big")
    finally:
        assert inside("down", "big").returncode == 0
