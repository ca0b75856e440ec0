"""Hosts as found in the wild: other shells, a second factor, no Python or an old one. `reset` undoes it all."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from tests.lab import machine

if TYPE_CHECKING:
    from tests.lab.host import Host
    from tests.lab.lab import Lab

# Where each shell looks also when it runs one command for ssh.
STARTUP = {"bash": ".bashrc", "zsh": ".zshenv", "fish": ".config/fish/config.fish", "csh": ".cshrc", "tcsh": ".cshrc"}
GREETING = "Welcome to the cluster! Maintenance on Tuesday."
COMPLAINT = "stty: standard input: Inappropriate ioctl for device"


def login_shell(host: Host, user: str, shell: str, *, chatty: bool = True) -> None:
    """Give the user this login shell; `chatty`: its start-up file writes to stdout and stderr, always."""
    if shell != "bash" and machine.install({shell: shell}):
        host.reinstall()  # an overlay does not promise to notice what is installed below it
    host.exec(["usermod", "-s", f"/bin/{shell}", user])
    if chatty:
        complain = f"sh -c 'echo \"{COMPLAINT}\" >&2'"  # csh itself cannot write to stderr
        home = "/root" if user == "root" else f"/home/{user}"
        file = f"{home}/{STARTUP[shell]}"
        before = host.exec(f"cat {file} 2>/dev/null || true").stdout
        host.write(file, f"echo '{GREETING}'\n{complain}\n{before}", user=user)


def two_factor(host: Host, user: str, code: str = "424242") -> None:
    """After the key, ask the user for a code at a prompt (keyboard-interactive, by PAM)."""
    host.write("/etc/ssh/check-code", f"#!/bin/sh\n[ \"$(tr -d '\\000')\" = {shlex.quote(code)} ]\n", mode=0o755)
    auth = "auth required pam_exec.so expose_authtok quiet /etc/ssh/check-code"
    permit = "".join(f"{kind} required pam_permit.so\n" for kind in ("auth", "account", "session"))
    host.write("/etc/pam.d/sshd", f"{auth}\n{permit}")
    host.sshd(
        "UsePAM yes",
        "KbdInteractiveAuthentication yes",
        f"Match User {user}",
        "AuthenticationMethods publickey,keyboard-interactive:pam",
    )


def answering(lab: Lab, answer: str) -> dict[str, str]:
    """Variables with which ``ssh`` on the laptop, without a terminal, gives this answer to every question."""
    script = lab.home / "askpass"
    script.write_text(f"#!/bin/sh\necho asked >> {shlex.quote(str(lab.home))}/asked\necho {shlex.quote(answer)}\n")
    script.chmod(0o700)
    return {"SSH_ASKPASS": str(script), "SSH_ASKPASS_REQUIRE": "force"}


def path_without_python(host: Host) -> None:
    """No ``python3`` on anybody's path, in login shells neither; the interpreter itself stays where it is."""
    script = """
        set -e
        mkdir -p /opt/path
        find /usr/sbin /usr/bin -mindepth 1 ! -name 'python*' ! -name 'pypy*' -exec ln -sft /opt/path {} +
        echo 'export PATH=/opt/path' | tee /etc/profile.d/zz-path.sh >> /etc/bash.bashrc
    """
    host.exec(script)
    host.sshd("SetEnv PATH=/opt/path")


def old_python(host: Host, version: str = "3.8.10") -> None:
    """A ``python3`` first on the path that is, by all that it says, this old version."""
    major, minor, micro = map(int, version.split("."))
    fields = f"major={major}, minor={minor}, micro={micro}, releaselevel='final', serial=0"
    lie = f"import sys; sys.version = '{version} (default, May 26 2023, 14:05:08) \\n[GCC 9.4.0]'; "
    lie += f"sys.hexversion = {major << 24 | minor << 16 | micro << 8 | 0xF0}; "
    lie += (
        f"sys.version_info = type('version_info', (tuple,), dict({fields}))(({major}, {minor}, {micro}, 'final', 0))\n"
    )
    host.exec([str(host.lab.python), "-m", "venv", "--without-pip", "/opt/old"])
    host.exec("cd /opt/old/lib/python3*/site-packages && cat > lie.pth", input=lie)
    wrapper = (
        f'#!/bin/sh\ncase $1 in -V | --version) echo "Python {version}"; exit ;; esac\nexec /opt/old/bin/python3 "$@"\n'
    )
    host.write("/usr/local/bin/python3", wrapper, mode=0o755)
