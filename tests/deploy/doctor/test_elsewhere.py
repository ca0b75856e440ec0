"""``offload doctor`` of machines that are reached over SSH, and of deployments there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.deploy.remote.conftest import PYTHON, ready, wait_for
from tests.deploy.remote.test_ssh import DIRECT
from tests.lab import variants
from tests.lab.lab import Lab

pytestmark = pytest.mark.real

__all__ = ["ready"]

Found = dict[str, dict[str, Any]]


def examine(lab: Lab, *words: str, code: int) -> Found:
    """Return what the doctor finds, by what it has looked at."""
    done = lab.offload("doctor", *words, "--json", timeout=120.0)
    assert done.returncode == code, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return {one["check"]: one for one in json.loads(done.stdout)}


def failures(found: Found) -> set[str]:
    return {check for check, one in found.items() if one["outcome"] == "fail"}


def test_a_machine_without_offload_on_which_all_is_well(ready: Lab) -> None:
    found = examine(ready, "ssh://alice@c1", code=0)
    assert list(found) == [
        *("ssh", "SSH", "host key", "jump host", "login shell", "tunnel", "Python", "clock", "home", "disk space"),
        *("scratch", "/dev/shm", "open files", "processes", "after logout", "deployments"),
    ]
    assert found["jump host"]["found"] == "through login"
    assert found["clock"]["where"] == "ssh://alice@c1"
    assert failures(found) == set()
    assert ready.host("c1").exec("ls -A ~/.local 2>/dev/null", user="alice", check=False).stdout == ""


def test_what_stands_in_the_way(ready: Lab) -> None:
    lab, host = ready, ready.host("h1")
    variants.login_shell(host, "alice", "csh")
    host.sshd("AllowTcpForwarding no")
    host.exec("mkdir -p /run/systemd/system /etc/systemd && echo KillUserProcesses=yes > /etc/systemd/logind.conf")
    host.small_disk("/home/alice/.local", "1m", user="alice")
    found = examine(lab, "ssh://alice@h1", "--scratch", "/nowhere", code=1)
    assert failures(found) == {"tunnel", "after logout", "scratch", "disk space"}
    assert "--route direct" in found["tunnel"]["hint"]
    assert found["after logout"]["hint"] == "type there: loginctl enable-linger"
    assert found["login shell"]["outcome"] == "warning"
    assert variants.GREETING in found["login shell"]["found"]
    host.exec("mkdir -p /var/lib/systemd/linger && touch /var/lib/systemd/linger/alice")
    assert failures(examine(lab, "ssh://alice@h1", "--route", "direct", code=1)) == {"disk space"}
    host.exec("mount -o remount,ro /home/alice/.local")
    assert "Read-only" in examine(lab, "ssh://alice@h1", code=1)["home"]["found"]


def test_a_machine_that_is_not_reached_or_has_no_python(ready: Lab) -> None:
    lab = ready
    variants.old_python(lab.host("h2"))
    lab.host("h1").new_host_key()
    changed = examine(lab, "ssh://alice@h1", code=1)
    assert list(changed) == ["ssh", "SSH"]
    assert "the host key of h1 has changed" in changed["SSH"]["found"]
    assert "ssh-keygen -f" in changed["SSH"]["hint"]
    done = lab.offload("doctor", "ssh://alice@h1")
    assert "fail     SSH           the host key of h1 has changed" in done.stdout
    assert done.stderr == "offload: 1 of 2 checks failed\n"
    none = examine(lab, "ssh://alice@h2", "--python", "/usr/local/bin/python3", code=1)
    assert failures(none) == {"Python"}
    assert "is Python 3.8.10" in none["Python"]["found"]


def test_ports_before_there_is_a_deployment(ready: Lab) -> None:
    words = ["ssh://alice@h1", "--route", "direct", "--ports", "60001-60001"]
    found = examine(ready, *words, code=0)
    assert found["ports 60001-60001"]["found"] == "port 60001 was opened there, and is reached from here at 10.77.0.11"
    ready.host("h1").drop(60001)
    found = examine(ready, *words, code=1)
    assert failures(found) == {"ports 60001-60001"}
    assert "nothing came back, as with a firewall" in found["ports 60001-60001"]["found"]
    assert "have 60001-60001 opened" in found["ports 60001-60001"]["hint"]


def test_ports_of_a_deployment_with_the_direct_route(ready: Lab) -> None:
    lab = ready
    assert lab.offload("up", "ssh://alice@h1", *PYTHON, *DIRECT, "--workers", "1").returncode == 0
    addresses = json.loads((lab.home / ".local/share/offload/deployments/h1/contact.json").read_text())
    port = {name: int(addresses[name].rpartition(":")[2]) for name in ("scheduler", "jobs", "storage")}
    found = examine(lab, "h1", code=0)
    assert {f"port {number}" for number in port.values()} < set(found)
    assert found["ports 60001-60020"]["outcome"] == "pass"
    assert found["versions"]["found"].startswith("offload ")
    assert found["versions"]["outcome"] == "pass"
    lab.host("h1").drop(port["jobs"])
    lab.host("h1").exec(f"nft add rule inet lab in iifname eth* tcp dport {port['storage']} reject with tcp reset")
    found = examine(lab, "h1", code=1)
    blocked, refused = found[f"port {port['jobs']}"], found[f"port {port['storage']}"]
    assert blocked["found"].startswith("the job service is not reached at 10.77.0.11: nothing came back")
    assert f"have port {port['jobs']} opened between here and 10.77.0.11" in blocked["hint"]
    assert "does not listen at 10.77.0.11, or a firewall refuses it" in refused["found"]
    assert found[f"port {port['scheduler']}"]["outcome"] == "pass"


def test_ports_of_a_deployment_that_a_firewall_has_kept_from_being_reached(ready: Lab) -> None:
    lab = ready
    lab.host("h1").drop("60001-60020")  # type: ignore[arg-type]
    said = lab.home / "said"
    words = [str(lab.laptop_venv / "bin/offload"), "up", "ssh://alice@h1", *PYTHON, *DIRECT, "--workers", "1"]
    with said.open("w") as output:
        up = lab.start(words, stdout=output, stderr=output)
    wait_for(lambda: "the head runs on ssh://alice@h1, but does not answer at" in said.read_text(), "the reason")
    up.terminate()
    up.wait()
    found = examine(lab, "h1", code=1)
    blocked = [one for check, one in found.items() if check.startswith("port ")]
    assert len(blocked) == 4
    assert all("nothing came back in 5 s, as with a firewall" in one["found"] for one in blocked)
    assert found["ports 60001-60020"]["outcome"] == "fail"
    assert "but does not answer" in found["deployment"]["found"]


def test_a_deployment_that_was_joined_without_ssh(ready: Lab) -> None:
    lab, host = ready, ready.host("h1")
    words = [str(lab.offload_venv / "bin/offload"), "up", "--name", "theirs", "--workers", "1", "--host", "0.0.0.0"]
    printed = host.exec([*words, "--ports", "60001-60020"], user="alice").stdout
    string = next(line for line in printed.splitlines() if line.startswith("offload-join-"))
    assert lab.offload("join", input=f"{string}\n").returncode == 0
    found = examine(lab, "theirs", code=0)
    assert sum(check.startswith("port ") for check in found) == 4
    assert "head: " in lab.offload("logs", "theirs").stdout
    host.crash()
    assert len(failures(examine(lab, "theirs", code=1))) >= 4


def test_a_deployment_through_a_tunnel_that_has_lost_its_machine(ready: Lab) -> None:
    lab = ready
    assert lab.offload("up", "ssh://alice@h1", *PYTHON, "--workers", "1").returncode == 0
    assert failures(examine(lab, "h1", code=0)) == set()
    lab.host("h1").crash()
    wait_for(lambda: "away" in lab.offload("list").stdout, "the news")
    found = examine(lab, "h1", code=1)
    assert "h1 does not answer" in found["SSH"]["found"]
    assert found["deployment"]["found"].startswith("h1 is away")
