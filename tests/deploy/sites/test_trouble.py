"""Machines that cannot be reached over SSH: what is said then, and what to do, on real ones."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from offload.errors import OffloadError, UsageError
from offload.hosts.ssh import OPEN_SECONDS, Ssh, ssh_command
from offload.hosts.ssh_errors import LoginNeededError, UnreachableError
from tests.deploy.sites.reaching import ssh_of
from tests.lab import variants
from tests.lab.lab import Lab

pytestmark = pytest.mark.real

Refused = Callable[..., OffloadError]


@pytest.fixture
def refused(lab: Lab, tmp_path: Path) -> Refused:
    """Try to reach a machine, and return why that does not work."""

    def reach(target: str, *options: str) -> OffloadError:
        before = time.monotonic()
        with ssh_of(lab, target, str(tmp_path / "ssh"), *options) as site, pytest.raises(OffloadError) as caught:
            site.open()
        assert time.monotonic() - before < OPEN_SECONDS + 20
        assert list(tmp_path.iterdir()) == []
        assert caught.value.hint
        return caught.value

    return reach


def test_another_user(refused: Refused) -> None:
    error = refused("ssh://nobody@h1")
    assert isinstance(error, LoginNeededError)
    assert error.message.startswith("h1 does not let nobody in without asking: it wants publickey or ")


def test_a_name_that_nobody_knows(refused: Refused) -> None:
    assert refused("ssh://alice@nohost").message == "there is no host nohost: its name is not known here"


def test_a_port_that_refuses(refused: Refused) -> None:
    error = refused("ssh://alice@h1:2222")
    assert error.message == "nothing listens for SSH at h1: port 2222 of 10.77.0.11 refuses connections"
    assert "ssh -v -p 2222 -l alice h1" in str(error.hint)


def test_a_port_behind_a_firewall(lab: Lab, refused: Refused) -> None:
    lab.host("h1").drop(22)
    assert refused("ssh://alice@h1").message.startswith("h1 does not answer: 10.77.0.11, port 22: Connection timed out")


def test_a_server_that_hangs(lab: Lab, refused: Refused) -> None:
    server = next(one for one in lab.host("h1").processes("root") if "sshd" in one.command)
    os.kill(server.outer, signal.SIGSTOP)
    try:
        error = refused("ssh://alice@h1")
    finally:
        os.kill(server.outer, signal.SIGCONT)
    assert error.message.startswith("h1 does not answer: Connection timed out during banner exchange")


def test_a_host_key_that_has_changed(lab: Lab, refused: Refused) -> None:
    lab.host("h1").new_host_key()
    error = refused("ssh://alice@h1")
    assert error.message == "the host key of h1 has changed: it was set up anew, or somebody stands in between"
    remove = f"ssh-keygen -f {lab.home}/.ssh/known_hosts -R 10.77.0.11"
    assert error.hint == f"ask who runs it; when the change is right: {remove}, then ssh -l alice h1"
    # the advice is right
    assert lab.run(remove).returncode == 0
    assert "is not known here" in refused("ssh://alice@h1").message


def test_a_host_key_that_has_changed_at_another_port(lab: Lab, refused: Refused) -> None:
    lab.host("h1").sshd("Port 2222")
    key = (lab.directory / "keys/h2/ssh_host_ed25519_key.pub").read_text()
    (lab.home / ".ssh/known_hosts").write_text(f"[10.77.0.11]:2222 {key}")
    error = refused("ssh://alice@h1:2222")
    assert "the host key of h1 has changed" in error.message
    assert "-R '[10.77.0.11]:2222', then ssh -p 2222 -l alice h1" in str(error.hint)


@pytest.mark.parametrize("checking", ["yes", "ask"])
def test_a_host_key_that_is_not_known(lab: Lab, refused: Refused, checking: str) -> None:
    (lab.home / ".ssh/known_hosts").write_text("")
    error = refused("ssh://alice@h1", "-o", f"StrictHostKeyChecking={checking}")
    assert error.message == "the host key of h1 is not known here"
    assert error.hint == "log in once and compare its fingerprint: ssh -l alice h1"


def test_a_key_that_is_not_there(lab: Lab, refused: Refused) -> None:
    key = lab.home / ".ssh/id_ed25519"
    key.unlink()
    error = refused("ssh://alice@h1")
    assert error.message == f"h1 does not let alice in: the key {key} is not there"
    assert "ssh-copy-id -l alice h1" not in str(error.hint)  # it has no such option
    assert f"ssh-keygen -f {key}, then ssh-copy-id alice@h1" in str(error.hint)


def test_a_key_that_others_can_read(lab: Lab, refused: Refused) -> None:
    key = lab.home / ".ssh/id_ed25519"
    key.chmod(0o644)
    error = refused("ssh://alice@h1")
    assert f"the key {key} can be read by others" in error.message
    assert error.hint == f"chmod 600 {key}, then again"


def test_a_key_with_a_passphrase_and_nobody_to_ask(lab: Lab, refused: Refused) -> None:
    lab.run(["ssh-keygen", "-q", "-p", "-N", "secret", "-f", lab.home / ".ssh/id_ed25519"], check=True)
    error = refused("ssh://alice@h1")
    assert isinstance(error, LoginNeededError)
    assert "ssh-add, if the key has a passphrase" in str(error.hint)


def test_a_second_factor_and_nobody_to_ask(lab: Lab, refused: Refused) -> None:
    variants.two_factor(lab.host("login"), "alice")
    error = refused("ssh://alice@login")
    assert isinstance(error, LoginNeededError)
    assert error.message == "login does not let alice in without asking: it wants keyboard-interactive"


def test_an_agent_with_too_many_keys(lab: Lab, refused: Refused) -> None:
    lab.host("h1").sshd("MaxAuthTries 1")
    config = lab.ssh_config.read_text()
    lab.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", lab.home / ".ssh/other"], check=True)
    other = f"IdentityFile {lab.home}/.ssh/other\n"
    lab.ssh_config.write_text(other + config)
    error = refused("ssh://alice@h1")
    assert error.message == "h1 does not let you in: too many keys were tried"


def test_a_machine_behind_a_jump_host_that_is_down(lab: Lab, refused: Refused) -> None:
    lab.host("login").crash()
    assert refused("ssh://alice@c1").message.startswith(
        "the jump host login of c1 does not answer: 10.77.0.10, port 22"
    )


def test_a_machine_that_its_jump_host_does_not_reach(lab: Lab, refused: Refused) -> None:
    lab.host("c1").crash()
    assert refused("ssh://alice@c1").message.startswith("the jump host login does not reach c1: connect failed: ")


def test_a_jump_host_that_lets_nothing_through(lab: Lab, refused: Refused) -> None:
    lab.host("login").sshd("AllowTcpForwarding no")
    error = refused("ssh://alice@c1")
    assert error.message.startswith("the jump host login does not let connections through to c1")
    assert "AllowTcpForwarding" in str(error.hint)


def test_a_jump_host_with_another_key(lab: Lab, refused: Refused) -> None:
    lab.host("login").new_host_key()
    assert refused("ssh://alice@c1").message.startswith("the host key of the jump host login of c1 has changed")


def test_a_configuration_that_ssh_does_not_take(lab: Lab, refused: Refused) -> None:
    error = refused("ssh://alice@h1", "-o", "Nonsense=yes")
    assert error.message.startswith("ssh does not accept its configuration: command-line: line 0: Bad configuration")
    lab.ssh_config.chmod(0o666)
    assert "Bad owner or permissions on /root/.ssh/config" in refused("ssh://alice@h1").message


def test_a_server_without_tunnels(lab: Lab, tmp_path: Path) -> None:
    with ssh_of(lab, "ssh://alice@h1", str(tmp_path / "ssh")) as site:
        site.open()
        site.check_forwarding(1)
        site.check_forwarding(22)
    for line in ("AllowTcpForwarding no", "PermitOpen none"):
        lab.host("h1").sshd(line)
        with ssh_of(lab, "ssh://alice@h1", str(tmp_path / "ssh")) as site:
            site.open()
            with pytest.raises(UnreachableError, match="the SSH server of h1 does not allow tunnels") as caught:
                site.check_forwarding(8787)
            assert "--route direct" in str(caught.value.hint)


def test_a_connection_that_was_killed_is_made_again(lab: Lab, tmp_path: Path) -> None:
    with ssh_of(lab, "ssh://alice@h1", str(tmp_path / "ssh")) as site:
        site.open()
        lab.run(f"kill -9 $(ssh -O check -o ControlPath={tmp_path}/ssh h1 2>&1 | tr -dc 0-9)", check=True)
        assert not site.is_open()
        assert site.run(["hostname"]).text == "h1\n"
        site.open()
        assert site.is_open()
        site.check_forwarding(22)


def test_a_connection_that_hangs(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ssh_of(lab, "ssh://alice@h1", str(tmp_path / "ssh")) as site:
        site.open()
        told = lab.run(f"ssh -O check -o ControlPath={tmp_path}/ssh h1 2>&1").stdout
        master = int("".join(filter(str.isdigit, told)))
        os.kill(master, signal.SIGSTOP)
        monkeypatch.setattr("offload.hosts.ssh.OPEN_SECONDS", 2.0)
        try:
            with pytest.raises(UnreachableError, match="the connection to ssh://alice@h1 hangs"):
                site.open()
            with pytest.raises(OffloadError, match="hostname on ssh://alice@h1 was not done after 2 s"):
                site.run(["hostname"], seconds=2.0)
        finally:
            os.kill(master, signal.SIGCONT)
        monkeypatch.undo()
        assert site.run(["hostname"]).text == "h1\n"


def test_two_who_connect_at_once_share_one_connection(lab: Lab, tmp_path: Path) -> None:
    sites = [ssh_of(lab, "ssh://alice@h1", str(tmp_path / "ssh")) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(Ssh.open, sites))
    connections = [one for one in lab.host("h1").processes("alice") if one.command.startswith("sshd: alice")]
    assert len(connections) == 1
    sites[0].close()
    assert not sites[1].is_open()


def test_no_ssh_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("OFFLOAD_SSH", raising=False)
    with pytest.raises(UsageError, match="there is no ssh here") as caught:
        ssh_command()
    assert "openssh-client" in str(caught.value.hint)
    monkeypatch.setenv("OFFLOAD_SSH", "plink -batch")
    with pytest.raises(UsageError, match="there is no plink here") as caught:
        ssh_command()
    assert "OFFLOAD_SSH" in str(caught.value.hint)


def test_a_socket_in_a_deep_directory(tmp_path: Path) -> None:
    from offload.hosts.address import SshAddress

    with pytest.raises(UsageError, match="too long for a socket"):
        Ssh(SshAddress("h1"), str(tmp_path / ("x" * 100)))


def test_start_up_files_that_read(lab: Lab, refused: Refused) -> None:
    for line in ("read -p 'project? ' PROJECT", "cat > /dev/null"):
        lab.host("h1").write("/home/alice/.bashrc", f"{line}\n", user="alice")
        error = refused("ssh://alice@h1")
        assert error.message == (
            "the start-up files of the login shell (.bashrc, .cshrc, config.fish) on ssh://alice@h1 read standard "
            "input: what is sent there does not arrive whole"
        )
        assert str(error.hint).endswith("ssh -l alice h1 cat")


def test_start_up_files_that_end_the_shell(lab: Lab, refused: Refused) -> None:
    for line, code in (("exit 3", 3), ("exit", 0), ("echo closed for now; exit 1", 1)):
        lab.host("h1").write("/home/alice/.bashrc", f"{line}\n", user="alice")
        error = refused("ssh://alice@h1")
        said = " with: closed for now" if "echo" in line else ""
        told = f"ssh://alice@h1 lets you in, but ends before it runs a command (exit code {code}){said}"
        assert error.message == told
        assert "end the shell?" in str(error.hint)
        assert str(error.hint).endswith("ssh -l alice h1 cat")


def test_an_account_for_copying_files(lab: Lab, refused: Refused) -> None:
    lab.host("h1").sshd("Match User alice", "ForceCommand internal-sftp")
    error = refused("ssh://alice@h1")
    assert error.message.startswith("ssh://alice@h1 is for copying files only, and runs no commands: ")
    assert str(error.hint).endswith("ssh -l alice h1 cat")


def test_a_machine_that_is_closed(lab: Lab, refused: Refused) -> None:
    lab.host("h1").write("/etc/nologin", "closed until noon\n")
    error = refused("ssh://alice@h1")
    assert "closed until noon" in error.message, error.message
    assert "is the machine closed for now?" in str(error.hint)


def test_what_the_user_types_to_try_a_command(lab: Lab, tmp_path: Path) -> None:
    with ssh_of(lab, "ssh://alice@h1:22", str(tmp_path / "ssh")) as site:
        site.open()
        with pytest.raises(OffloadError, match="sh on ssh://alice@h1:22 ended with 3: it said nothing") as caught:
            site.run(["sh", "-s"], b"exit 3")
        assert str(caught.value.hint).endswith("-p 22 -l alice h1 'sh -s'")


def test_settings_for_sessions_in_the_background(lab: Lab, tmp_path: Path) -> None:
    kept = lab.ssh_config.read_text()
    lab.ssh_config.write_text(f"Host h1\n  ForkAfterAuthentication yes\n  StdinNull yes\n{kept}")
    with ssh_of(lab, "ssh://alice@h1", str(tmp_path / "ssh")) as site:
        assert site.settings()["stdinnull"] == "yes"
        site.open()
        assert site.run(["cat"], b"hello").out == b"hello"
