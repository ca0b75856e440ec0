"""``offload up ssh://...`` by every way in that ``ssh`` knows, and what it says where there is none."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import time

import pytest

from tests.deploy.remote.conftest import PYTHON
from tests.deploy.remote.test_ssh import DIRECT
from tests.lab import variants
from tests.lab.lab import Lab

pytestmark = pytest.mark.real

SECONDS = 120.0


def offload(lab: Lab, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the laptop's offload without a terminal."""
    return lab.run(["setsid", "--wait", lab.laptop_venv / "bin/offload", *words], env=env, timeout=SECONDS)


def use(lab: Lab, name: str) -> None:
    done = lab.offload("run", "--on", name, "--", "hostname")
    assert done.returncode == 0, done.stderr
    assert lab.offload("down", name).returncode == 0


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """Return what a command said that could not do its work, in two lines at most after its steps."""
    assert done.returncode in (1, 2, 3), done.stderr
    assert "Traceback" not in done.stderr
    assert "internal error" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("  ")
    return done.stderr


def at_terminal(lab: Lab, words: list[str], question: str, answer: str) -> str:
    """Run the laptop's offload in a terminal, and answer a question there; return all that the terminal shows."""
    ours, theirs = pty.openpty()
    command = ["setsid", "--ctty", "--wait", str(lab.laptop_venv / "bin/offload"), *words]
    process = lab.start(command, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown, deadline, answered = "", time.monotonic() + SECONDS, False
    try:
        while time.monotonic() < deadline:
            if select.select([ours], [], [], 0.1)[0]:
                try:
                    piece = os.read(ours, 4096)
                except OSError:  # its end, on Linux
                    break
                if not piece:
                    break
                shown += piece.decode()
                if not answered and re.search(question, shown):
                    os.write(ours, f"{answer}\n".encode())
                    answered = True
        assert process.wait(SECONDS) == 0, shown
    finally:
        process.kill()
        os.close(ours)
    assert answered, shown
    return shown


def test_a_port_and_an_entry_of_the_configuration(ready: Lab) -> None:
    lab = ready
    lab.host("h1").sshd("Port 2222")
    key = (lab.directory / "keys/h1/ssh_host_ed25519_key.pub").read_text()
    (lab.home / ".ssh/known_hosts").write_text(f"[10.77.0.11]:2222 {key}")
    assert offload(lab, "up", "ssh://alice@h1:2222", *PYTHON).returncode == 0
    use(lab, "h1")
    lab.ssh_config.write_text(
        f"Host cluster\n HostName 10.77.0.11\n Port 2222\n User bob\n{lab.ssh_config.read_text()}"
    )
    done = offload(lab, "up", "ssh://cluster", *PYTHON)
    assert done.returncode == 0, done.stderr
    assert lab.host("h1").processes("bob")
    use(lab, "cluster")


def test_a_machine_behind_a_jump_host(ready: Lab) -> None:
    assert offload(ready, "up", "ssh://alice@c1", *PYTHON).returncode == 0
    use(ready, "c1")


def test_a_key_with_a_passphrase_in_an_agent_or_at_a_prompt(ready: Lab) -> None:
    lab = ready
    key = lab.home / ".ssh/id_ed25519"
    lab.run(["ssh-keygen", "-q", "-p", "-N", "secret", "-f", key], check=True)
    assert "ssh-add, if the key has a passphrase" in refused(offload(lab, "up", "ssh://alice@h1", *PYTHON))
    shown = at_terminal(lab, ["up", "ssh://alice@h1", *PYTHON], "Enter passphrase for key", "secret")
    assert "h1 is up" in shown
    use(lab, "h1")
    agent = lab.start(["ssh-agent", "-D", "-a", lab.home / "agent"], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + SECONDS
    while not (lab.home / "agent").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    variables = {"SSH_AUTH_SOCK": str(lab.home / "agent")}
    lab.run(["ssh-add", key], env={**variables, **variants.answering(lab, "secret")}, check=True)
    assert offload(lab, "up", "ssh://alice@h1", *PYTHON, **variables).returncode == 0
    use(lab, "h1")
    agent.kill()
    agent.wait()


def test_a_host_key_is_shown_and_asked_about_in_a_terminal(ready: Lab) -> None:
    lab = ready
    config = lab.ssh_config.read_text()
    lab.ssh_config.write_text(config.replace("StrictHostKeyChecking yes", "StrictHostKeyChecking ask"))
    (lab.home / ".ssh/known_hosts").write_text("")
    assert "the host key of h1 is not known here" in refused(offload(lab, "up", "ssh://alice@h1", *PYTHON))
    shown = at_terminal(lab, ["up", "ssh://alice@h1", *PYTHON], r"continue connecting \(yes/no", "yes")
    assert "fingerprint is SHA256:" in shown
    use(lab, "h1")


def test_a_second_factor_is_asked_for_once(ready: Lab) -> None:
    lab = ready
    variants.two_factor(lab.host("login"), "alice")
    assert "it wants keyboard-interactive" in refused(offload(lab, "up", "ssh://alice@login", *PYTHON))
    shown = at_terminal(lab, ["up", "ssh://alice@login", *PYTHON], "Password:", "424242")
    assert "login is up" in shown
    assert shown.count("Password:") == 1
    use(lab, "login")
    assert offload(lab, "up", "ssh://alice@login", *PYTHON, **variants.answering(lab, "424242")).returncode == 0
    assert (lab.home / "asked").read_text() == "asked\n"
    use(lab, "login")


@pytest.mark.parametrize("shell", ["csh", "fish", "zsh"])
def test_a_login_shell_that_talks(ready: Lab, shell: str) -> None:
    variants.login_shell(ready.host("h1"), "alice", shell)
    done = offload(ready, "up", "ssh://alice@h1", *PYTHON)
    assert done.returncode == 0, done.stderr
    use(ready, "h1")


def test_a_home_on_another_file_system_that_is_full_or_read_only(ready: Lab) -> None:
    host = ready.host("h1")
    keys = host.read("/home/bob/.ssh/authorized_keys")
    host.small_disk("/home/bob", "30m", user="bob")
    host.write("/home/bob/.ssh/authorized_keys", keys, user="bob", mode=0o600)
    assert offload(ready, "up", "ssh://bob@h1", *PYTHON, "--workers", "1").returncode == 0
    use(ready, "h1")
    host.exec("rm -rf ~/.local; head -c 40m /dev/zero > ~/full", user="bob", check=False)
    assert "ssh://bob@h1: no space left where /home/bob/.local" in refused(
        offload(ready, "up", "ssh://bob@h1", *PYTHON)
    )
    host.exec("rm /home/bob/full && mount -o remount,ro /home/bob")
    said = refused(offload(ready, "up", "ssh://bob@h1", *PYTHON))
    assert "ssh://bob@h1: /home/bob/.local/share/offload cannot be written: Read-only file system" in said
    assert host.processes("bob") == []
    assert offload(ready, "list").stdout == ""


def test_a_configuration_of_dask_there_that_is_no_yaml(ready: Lab) -> None:
    host = ready.host("h1")
    host.exec("mkdir -p ~/.config/dask", user="alice")
    host.write("/home/alice/.config/dask/jobqueue.yaml", "jobqueue:\n  slurm: [\n", user="alice")
    said = refused(offload(ready, "up", "ssh://alice@h1", *PYTHON))
    assert "ssh://alice@h1: /home/alice/.config/dask/jobqueue.yaml is no YAML: line 3, column 1" in said
    assert host.processes("alice") == []


def test_a_server_without_tunnels_is_used_by_the_direct_route(ready: Lab) -> None:
    ready.host("h1").sshd("AllowTcpForwarding no")
    assert "the SSH server of h1 does not allow tunnels" in refused(offload(ready, "up", "ssh://alice@h1", *PYTHON))
    assert ready.host("h1").processes("alice") == []
    assert offload(ready, "up", "ssh://alice@h1", *PYTHON, *DIRECT).returncode == 0
    use(ready, "h1")


def test_the_ssh_that_a_variable_names(ready: Lab) -> None:
    said = refused(offload(ready, "up", "ssh://alice@h1", *PYTHON, OFFLOAD_SSH="no-such-ssh"))
    assert "there is no no-such-ssh here" in said
    wrapper = ready.home / "my ssh"
    wrapper.write_text(f'#!/bin/sh\necho used >> {ready.home}/used\nexec ssh "$@"\n')
    wrapper.chmod(0o755)
    assert offload(ready, "up", "ssh://alice@h1", *PYTHON, OFFLOAD_SSH=f"'{wrapper}'").returncode == 0
    (ready.home / "used").unlink()
    use(ready, "h1")  # kept for all later connections, without the variable
    assert (ready.home / "used").exists()


def test_an_ssh_that_was_killed_is_replaced(ready: Lab) -> None:
    assert offload(ready, "up", "ssh://alice@h1", *PYTHON).returncode == 0
    spec = json.loads((ready.home / ".local/share/offload/deployments/h1/spec.json").read_text())
    master = f"ssh -O check -o ControlPath={spec['link']['runtime']}/ssh h1 2>&1 | tr -dc 0-9"
    ready.run(f"kill -9 $({master})", check=True)
    assert "h1 is up" in offload(ready, "up", "ssh://alice@h1").stderr
    use(ready, "h1")
