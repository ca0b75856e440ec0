"""What the doctor makes of the facts of a machine."""

from __future__ import annotations

import copy
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from offload.doctor import facts, machine, ports
from offload.doctor.remote import clock
from offload.doctor.result import FAIL, PASS, WARNING, Result
from offload.doctor.rpc import ask
from offload.hosts.local import Here

REQUEST: dict[str, Any] = {"home": "", "scratch": "", "host": "127.0.0.1", "ports": None}
GIGA = 10**9


@pytest.fixture
def well(tmp_path: Path) -> dict[str, Any]:
    """The facts of a machine on which all is well."""
    found = facts.gather({**REQUEST, "home": str(tmp_path / "a/b"), "scratch": str(tmp_path)})
    assert list(tmp_path.iterdir()) == []
    assert found["home"]["at"] == str(tmp_path)
    assert found["scratch"].pop("rate") > 0
    room = {"at": "/dev/shm", "error": None, "free": 100 * GIGA}
    found |= {"mounts": "", "shm": dict(room), "limits": {"files": None, "processes": None}}
    found["home"] |= {"free": 100 * GIGA}
    found["scratch"] |= {"free": 100 * GIGA, "rate": 1e9}
    return found


def test_all_is_well(well: dict[str, Any]) -> None:
    assert {result.outcome for result in machine.checks(well, None)} == {PASS}


TROUBLES = [
    (("home", "error"), "Read-only file system", "home", FAIL, "OFFLOAD_HOME"),
    (("home", "free"), 50_000_000, "disk space", FAIL, "offload gc"),
    (("home", "free"), 500_000_000, "disk space", WARNING, "offload gc"),
    (("scratch", "error"), "Permission denied", "scratch", FAIL, "--scratch"),
    (("scratch", "rate"), None, "scratch", FAIL, "--scratch"),
    (("scratch", "rate"), 1_000_000, "scratch", WARNING, "faster"),
    (("scratch", "free"), 1_000_000, "scratch", WARNING, "--scratch"),
    (("shm", "free"), 1000, "/dev/shm", WARNING, "shm-size"),
    (("shm", "at"), "/dev", "/dev/shm", WARNING, "tmpfs"),
    (("limits", "files"), 1024, "open files", WARNING, "ulimit -n"),
    (("limits", "files"), 64, "open files", FAIL, "ulimit -n"),
    (("limits", "processes"), 100, "processes", WARNING, "ulimit -u"),
    (("mounts",), "22 1 0:40 / / rw - nfs4 server:/ rw\n", "home", WARNING, "local disk"),
]


@pytest.mark.parametrize(("where", "value", "check", "outcome", "hint"), TROUBLES)
def test_what_is_wrong_is_told_with_what_to_do(
    well: dict[str, Any], where: tuple[str, ...], value: object, check: str, outcome: str, hint: str
) -> None:
    found = copy.deepcopy(well)
    place = found if len(where) == 1 else found[where[0]]
    place[where[-1]] = value
    (wrong,) = [result for result in machine.checks(found, None) if result.outcome != PASS]
    assert (wrong.check, wrong.outcome) == (check, outcome)
    assert hint in wrong.hint


def test_processes_after_logout(well: dict[str, Any]) -> None:
    def outcome(kills: bool, lingers: bool) -> Result:
        return machine.logout({"logout": {"systemd": True, "kills": kills, "lingers": lingers}})

    assert outcome(False, False).outcome == outcome(True, True).outcome == PASS
    assert outcome(True, False).outcome == FAIL
    assert "loginctl enable-linger" in outcome(True, False).hint


def test_clocks() -> None:
    assert clock(100.5, 100.0, 101.0).outcome == PASS
    assert clock(130.0, 100.0, 101.0).found == "29.0 s ahead"
    assert clock(60.0, 100.0, 101.0).outcome == WARNING
    assert clock(60.0, 1000.0, 1001.0).outcome == FAIL


def test_free_ports(well: dict[str, Any]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        taken.listen()
        found = {**facts.gather({**REQUEST, "ports": [port, port]}), "host": "127.0.0.1"}
        assert machine.free_ports(found, (port, port), 1).outcome == FAIL
        assert ports.probe("127.0.0.1", port) == ports.OPEN
    assert ports.probe("127.0.0.1", port) == ports.REFUSED
    found = {**facts.gather({**REQUEST, "ports": [port, port]}), "host": "127.0.0.1"}
    assert machine.free_ports(found, (port, port), 1).found == f"1 of {port}-{port} are free"
    found = {**facts.gather({**REQUEST, "host": "192.0.2.1", "ports": [port, port]}), "host": "192.0.2.1"}
    assert "no address of this machine" in machine.free_ports(found, (port, port), 1).found


def test_the_program_is_sent_to_a_machine_without_offload() -> None:
    base = str(getattr(sys, "_base_executable", sys.executable))
    with Here() as site:
        told = ask(site, base, {"do": "gather", **REQUEST})
        assert told["version"] == ".".join(map(str, sys.version_info[:3]))
        free = ports.free_one(site, base, "127.0.0.1", (20_000, 20_100))
    assert free.outcome == PASS
