"""The lab itself: what it promises to the tests that use it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab import leftovers, system
from tests.lab.lab import REPOSITORY, Lab

pytestmark = pytest.mark.real

CONNECT = "exec 3<>/dev/tcp/{address}/{port} && echo connected"


def reachable(lab: Lab, address: str, port: int = 22, within: float = 2.0) -> bool:
    """Whether a connection from the laptop is accepted."""
    words = ["timeout", str(within), "bash", "-c", CONNECT.format(address=address, port=port)]
    return lab.run(words).stdout == "connected\n"


def test_every_host_is_one_of_its_own(lab: Lab) -> None:
    questions = (
        "hostname; cat /etc/machine-id; cat /proc/sys/kernel/random/boot_id; cat /etc/ssh/ssh_host_ed25519_key.pub"
    )
    answers = [lab.ssh(name, questions).stdout.splitlines() for name in lab.hosts]
    assert [answer[0] for answer in answers] == list(lab.hosts) == ["login", "h1", "h2", "c1", "c2"]
    for answer in zip(*answers, strict=True):
        assert len(set(answer)) == len(lab.hosts)


@pytest.mark.parametrize("user", ["root", "alice", "bob"])
def test_users_log_in_everywhere_and_from_host_to_host(lab: Lab, user: str) -> None:
    assert lab.ssh(f"{user}@c1", "whoami; ssh login hostname; ssh c2 hostname").stdout == f"{user}\nlogin\nc2\n"
    assert lab.ssh(f"{user}@h1", "ssh h2 whoami").stdout == f"{user}\n"


def test_a_host_shows_nothing_of_the_machine_but_its_programs(lab: Lab) -> None:
    for path in (REPOSITORY, lab.directory, lab.home):
        assert lab.host("h1").exec(["test", "-e", path], check=False).returncode == 1, path
    assert lab.ssh("alice@h1", "ls -A /tmp /var/tmp /srv /home /run | sort -u | tr '\\n' ' '").stdout.split() == sorted(
        ["/home:", "/run:", "/srv:", "/tmp:", "/var/tmp:", "alice", "bob", "boot_id", "lock", "sshd", "sshd.pid"]
    )
    lab.host("h1").write("/tmp/here", "h1")
    assert lab.host("h2").exec("test -e /tmp/here", check=False).returncode == 1
    assert not Path("/tmp/here").exists()


def test_shared_is_one_file_system_and_not_the_laptops(lab: Lab) -> None:
    lab.ssh("alice@h1", "echo hello > /shared/greeting")
    assert lab.ssh("alice@c2", "cat /shared/greeting").stdout == "hello\n"
    assert (lab.shared / "greeting").read_text() == "hello\n"
    assert lab.run("test -e /shared/greeting").returncode == 1


def test_hosts_behind_are_reached_only_through_login(lab: Lab) -> None:
    assert lab.ssh("c1", "hostname").stdout == "c1\n"
    assert not reachable(lab, lab.host("c1").address)
    assert reachable(lab, lab.host("login").address)
    assert (
        lab.ssh("h1", f"timeout 2 bash -c '{CONNECT.format(address=lab.host('c1').address, port=22)}'; echo $?").stdout
        == "1\n"
    )


def test_nothing_leads_out_of_the_lab(lab: Lab) -> None:
    for name in (None, *lab.hosts):
        routes = lab.run("ip route; ip -6 route") if name is None else lab.host(name).exec("ip route; ip -6 route")
        assert "default" not in routes.stdout and "via" not in routes.stdout
    assert "Network is unreachable" in lab.run("exec 3<>/dev/tcp/192.0.2.1/80").stderr
    assert "Network is unreachable" in lab.ssh("h1", "exec 3<>/dev/tcp/192.0.2.1/80", check=False).stderr


def test_a_crash_tells_nobody_and_keeps_the_disk(lab: Lab) -> None:
    host = lab.host("h1")
    host.exec("echo kept > /etc/kept; echo kept > ~/kept; echo lost > /tmp/lost", user="root")
    before = host.read("/proc/sys/kernel/random/boot_id")
    with lab.start(
        ["ssh", "-o", "BatchMode=yes", "alice@h1", "echo in; sleep 1000"], stdout=subprocess.PIPE
    ) as session:
        assert session.stdout is not None and session.stdout.readline() == b"in\n"
        deadline = time.monotonic() + 60
        while not any(process.command == "sleep 1000" for process in host.processes("alice")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        host.crash()
        assert not host.up and not reachable(lab, host.address)
        with pytest.raises(subprocess.TimeoutExpired):
            session.wait(timeout=0.5)  # the client knows nothing
        session.kill()
    host.boot()
    assert lab.ssh("h1", "cat /etc/kept ~/kept; ls /tmp").stdout == "kept\nkept\n"
    assert host.read("/proc/sys/kernel/random/boot_id") != before
    assert not any(process.command == "sleep 1000" for process in host.processes("alice"))


def test_a_cut_cable_holds_what_is_sent_until_it_is_healed(lab: Lab) -> None:
    host = lab.host("h1")
    with lab.start(["ssh", "h1", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as session:
        assert session.stdin is not None and session.stdout is not None
        session.stdin.write(b"one\n")
        assert session.stdout.readline() == b"one\n"
        host.cut()
        assert not reachable(lab, host.address)
        session.stdin.write(b"two\n")
        host.heal()
        assert session.stdout.readline() == b"two\n"
        session.stdin.close()
    assert lab.ssh("h1", "hostname").stdout == "h1\n"


def test_a_slow_line_carries_no_more_than_it_should(lab: Lab) -> None:
    host = lab.host("h1")
    host.slow("8mbit")
    for command in ("ssh h1 'head -c 1000000 /dev/zero' | wc -c", "head -c 1000000 /dev/zero | ssh h1 wc -c"):
        start = time.monotonic()
        assert lab.run(command).stdout == "1000000\n"
        assert time.monotonic() - start > 0.7  # a second; the lower bound is what the line promises
    host.unslow()
    assert "tbf" not in host.exec("tc qdisc show dev eth0").stdout


def test_a_long_line_delays_and_keeps_connections(lab: Lab) -> None:
    host = lab.host("h1")
    with lab.start(["ssh", "h1", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as session:
        assert session.stdin is not None and session.stdout is not None
        session.stdin.write(b"near\n")
        assert session.stdout.readline() == b"near\n"
        host.delay(100)
        start = time.monotonic()
        session.stdin.write(b"far\n")
        assert session.stdout.readline() == b"far\n"
        assert time.monotonic() - start >= 0.2
        host.undelay()
        session.stdin.write(b"near again\n")
        assert session.stdout.readline() == b"near again\n"
        session.stdin.close()


def test_a_dropped_port_swallows_connections_silently(lab: Lab) -> None:
    host = lab.host("h1")
    host.drop(22)
    assert not reachable(lab, host.address)
    host.undrop()
    assert reachable(lab, host.address)


def test_a_small_disk_is_full_soon(lab: Lab) -> None:
    lab.host("h1").small_disk("/scratch", "64k", user="alice")
    assert "No space left" in lab.ssh("alice@h1", "head -c 100000 /dev/zero > /scratch/big", check=False).stderr


TRACES: dict[str, Callable[[Lab], object]] = {
    "off": lambda lab: lab.host("h1").crash(),
    "killed": lambda lab: os.kill(lab.host("h1").init, signal.SIGKILL),
    "cut": lambda lab: lab.host("h1").cut(),
    "far": lambda lab: lab.host("h1").delay(500),
    "slow": lambda lab: lab.host("h1").slow("8kbit"),
    "dropped": lambda lab: lab.host("h1").drop(22),
    "removed": lambda lab: lab.host("h1").exec("rm -rf ~/.ssh /etc/ssh/sshd_config"),
    "removed by alice": lambda lab: lab.host("h1").exec("rm -rf ~/.ssh", user="alice"),
    "another key": lambda lab: lab.host("h1").new_host_key(),
    "laptop's home": lambda lab: lab.run("rm ~/.ssh/*; mkdir -p ~/rubbish/more", check=True),
    "laptop's process": lambda lab: lab.run("setsid sleep 1000 > /dev/null 2>&1 < /dev/null &", check=True),
    "host's process": lambda lab: lab.ssh("alice@h1", "setsid sleep 1000 > /dev/null 2>&1 < /dev/null &"),
    "shared": lambda lab: lab.ssh("alice@h1", "mkdir -p /shared/rubbish/more"),
}


@pytest.mark.parametrize("trace", TRACES)
def test_reset_puts_back_what_a_test_did(lab: Lab, trace: str) -> None:
    TRACES[trace](lab)
    lab.reset()
    assert lab.host("h1").processes("alice") == []
    assert lab.ssh("alice@h1", "whoami; ls /shared", timeout=10).stdout.split() in (
        ["alice"],
        ["alice", "venv", "wheels"],
    )
    assert lab.run("ls ~").stdout == ""
    commands = []
    for pid in system.inside(lab.directory):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            commands.append(Path(f"/proc/{pid}/cmdline").read_bytes())
    assert b"sleep\0001000\000" not in commands


def test_hosts_that_nobody_touched_are_left_alone(lab: Lab) -> None:
    boots = {name: host.init for name, host in lab.hosts.items()}
    lab.host("h2").write("/etc/changed", "")
    lab.reset()
    changed = {name for name, host in lab.hosts.items() if host.init != boots[name]}
    assert changed == {"h2"}


def test_the_environments_of_both_sides_agree(lab: Lab) -> None:
    script = "import offload, dask, sys; print(offload.__version__, dask.__version__, sys.version_info[:3], sys.prefix)"
    laptop = lab.run([lab.laptop_venv / "bin/python", "-c", script], check=True).stdout.split()
    host = lab.ssh("alice@c1", f'{lab.offload_venv}/bin/python -c "{script}"').stdout.split()
    assert laptop[:-1] == host[:-1] and host[-1] == "/shared/venv"
    command = lab.ssh("alice@c1", f"{lab.offload_venv}/bin/offload run -q -- echo hello")
    assert command.stdout == lab.offload("run", "-q", "--", "echo", "hello").stdout == "hello\n"
    assert lab.ssh("root@h1", f"touch {lab.offload_venv}/x", check=False).returncode == 1


def test_hosts_install_from_wheels_without_a_network(lab: Lab) -> None:
    lab.ssh(
        "alice@h2",
        f"{lab.python} -m venv v && v/bin/pip install -q --no-index -f {lab.wheels} offload && v/bin/offload --version",
        timeout=120,
    )


SESSION = """
import subprocess, sys, time
from tests.lab.lab import Lab
lab = Lab.up(front=1, behind=0)
lab.host("h1").exec("setsid sleep 1000 > /dev/null 2>&1 < /dev/null &")
lab.start(["sleep", "1000"])
print(lab.directory, lab.keeper, flush=True)
if sys.argv[1:] == ["down"]:
    lab.down()
else:
    time.sleep(1000)
"""


def start_session(*arguments: str) -> tuple[subprocess.Popen[str], Path, int]:
    """Another session with a lab of its own."""
    command = [sys.executable, "-c", SESSION, *arguments]
    session = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    assert session.stdout is not None
    directory, keeper = session.stdout.readline().split()
    session.stdout.close()
    return session, Path(directory), int(keeper)


def gone(directory: Path, within: float = 20.0) -> bool:
    """Whether nothing is left of a lab, now or soon."""
    deadline = time.monotonic() + within
    while directory.exists() or system.inside(directory):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return str(directory) not in Path("/proc/mounts").read_text()


def test_nothing_is_left_after_down(lab: Lab) -> None:
    session, directory, _ = start_session("down")
    assert session.wait(timeout=30) == 0
    assert gone(directory, within=0)


def test_a_killed_session_leaves_nothing(lab: Lab) -> None:
    session, directory, _ = start_session()
    assert len(system.inside(directory)) >= 6
    session.kill()
    session.wait()
    assert gone(directory)


def test_what_a_killed_keeper_leaves_the_next_session_sweeps(lab: Lab) -> None:
    session, directory, keeper = start_session()
    os.kill(keeper, signal.SIGKILL)
    session.kill()
    session.wait()
    assert not gone(directory, within=0)
    assert directory in leftovers.sweep()
    assert gone(directory, within=0)


def test_the_lab_of_a_living_session_is_not_swept(lab: Lab) -> None:
    assert leftovers.sweep() == []
    assert lab.ssh("h1", "hostname").stdout == "h1\n"
