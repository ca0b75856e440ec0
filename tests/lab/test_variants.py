"""The variants of hosts are what they say."""

from __future__ import annotations

import pytest

from tests.lab import variants
from tests.lab.lab import Lab
from tests.lab.machine import NotHere
from tests.lab.plan import PASSWORD
from tests.requirements import requires

pytestmark = pytest.mark.real


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "csh", "tcsh"])
def test_a_login_shell_that_talks(lab: Lab, shell: str) -> None:
    try:
        variants.login_shell(lab.host("h1"), "alice", shell)
    except NotHere as error:
        requires(False, str(error))
    done = lab.ssh("alice@h1", "echo $SHELL")
    assert done.stdout.startswith(variants.GREETING + "\n")
    assert f"/bin/{shell}" in done.stdout
    assert variants.COMPLAINT in done.stderr
    assert variants.GREETING not in lab.ssh("bob@h1", "true").stdout


def test_a_second_factor_is_asked_for_after_the_key(lab: Lab) -> None:
    variants.two_factor(lab.host("login"), "alice", "123456")
    assert "Permission denied" in lab.ssh("alice@login", "true", check=False).stderr
    right, wrong = variants.answering(lab, "123456"), "654321"
    assert lab.run(["ssh", "alice@login", "whoami"], env=right).stdout == "alice\n"
    assert (lab.home / "asked").read_text() == "asked\n"
    assert lab.run(["ssh", "alice@login", "whoami"], env=variants.answering(lab, wrong)).returncode == 255
    assert lab.ssh("bob@login", "whoami").stdout == "bob\n"


def test_a_password_instead_of_a_key(lab: Lab) -> None:
    command = ["ssh", "-o", "PubkeyAuthentication=no", "bob@h1", "whoami"]
    assert lab.run(command, env=variants.answering(lab, PASSWORD)).stdout == "bob\n"


def test_another_host_key_is_refused_by_the_client(lab: Lab) -> None:
    lab.host("h1").new_host_key()
    assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in lab.ssh("h1", "true", check=False).stderr


def test_lines_for_the_ssh_server_come_first(lab: Lab) -> None:
    lab.host("h1").sshd("Port 2222", "PermitRootLogin no")
    assert lab.ssh("h1", "true", check=False).returncode == 255
    assert lab.run(["ssh", "-p", "2222", "root@h1", "true"]).returncode == 255
    key = (lab.directory / "keys/h1/ssh_host_ed25519_key.pub").read_text()
    (lab.home / ".ssh/known_hosts").write_text(f"[{lab.host('h1').address}]:2222 {key}")
    assert lab.run(["ssh", "-p", "2222", "alice@h1", "whoami"]).stdout == "alice\n"


def test_a_path_without_python(lab: Lab) -> None:
    variants.path_without_python(lab.host("h1"))
    for command in ("command -v python3", "bash -lc 'command -v python3'", "sh -lc 'command -v python3'"):
        assert lab.ssh("alice@h1", command, check=False).stdout == ""
    assert lab.ssh("alice@h1", f"ls / > /dev/null && {lab.python} -c 'print(1)'").stdout == "1\n"
    assert lab.ssh("alice@h1", f"{lab.offload_venv}/bin/offload --version").stdout.startswith("offload")


def test_an_old_python_first_on_the_path(lab: Lab) -> None:
    variants.old_python(lab.host("h1"), "3.8.10")
    question = "import sys, platform; print(sys.version_info[:2], sys.version_info.minor, platform.python_version())"
    for option in ("", "-I", "-E"):
        assert lab.ssh("alice@h1", f'python3 {option} -c "{question}"').stdout == "(3, 8) 8 3.8.10\n"
    assert lab.ssh("alice@h1", "python3 -V").stdout == "Python 3.8.10\n"
    assert lab.ssh("alice@h1", f"{lab.offload_venv}/bin/offload --version").stdout.startswith("offload")
