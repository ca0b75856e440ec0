"""A machine that is reached with OpenSSH: one connection, over which everything goes."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Sequence

from offload.errors import OffloadError, UsageError
from offload.hosts.address import SshAddress
from offload.hosts.base import Done, Site, quoted
from offload.hosts.ssh_errors import Attempt, UnreachableError, no_shell, translated
from offload.registry.locks import alone

COMMAND = "OFFLOAD_SSH"
"""The variable that holds the command line to use instead of ``ssh``."""

CONNECT_SECONDS, OPEN_SECONDS, PROMPT_SECONDS = 15, 40.0, 300.0
LONGEST_SOCKET = 90  # a Unix socket's path may have 107 bytes, of which ssh adds 17 for a moment
_FAILED = 255
BEGUN, SENT = b"offload begins\n", b"offload\nis\nheard\n"
_INTERVAL = 0.05

OPTIONS = {
    "ConnectTimeout": str(CONNECT_SECONDS),
    "ServerAliveInterval": "5",  # a cut is noticed after 15 s
    "ServerAliveCountMax": "3",
    "ExitOnForwardFailure": "yes",
    "EscapeChar": "none",
    "ForwardX11": "no",
    "ForwardAgent": "no",
    "PermitLocalCommand": "no",
    "RemoteCommand": "none",
    "RequestTTY": "no",
}
FOR_SESSIONS = {"ForkAfterAuthentication": "no", "StdinNull": "no"}
"""Settings that older versions of ``ssh`` do not know."""

# Ports that the user's configuration forwards are for their own sessions.
_NO_FORWARDING = ("-o", "ClearAllForwardings=yes")


class Ssh(Site):
    """A machine that is reached with the user's ``ssh``: configuration, agents, jump hosts and prompts are theirs.

    Parameters
    ----------
    address : SshAddress
        The machine.
    socket : str
        The path of the socket through which the connection is shared; kept while the connection is.
    ask : bool
        Whether ``ssh`` may ask for passwords, codes and the like at the terminal.
    program : str
        The command line to use instead of ``ssh``; by default what the variable `COMMAND` holds.
    """

    def __init__(self, address: SshAddress, socket: str, ask: bool = True, program: str = "") -> None:
        if len(os.fsencode(socket)) > LONGEST_SOCKET:
            raise UsageError(f"{socket} is too long for a socket", "set TMPDIR to a shorter directory")
        self.address = address
        self.name = str(address)
        self.socket = socket
        self._ask = ask
        self._program = program
        self._known: dict[str, str] | None = None

    def _ssh(self, *words: str) -> list[str]:
        if self._known is None:
            self._known = {key: value for key, value in FOR_SESSIONS.items() if key.lower() in self.settings()}
        options = {**OPTIONS, **self._known, "ControlPath": self.socket, "BatchMode": "no" if self._ask else "yes"}
        chosen = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
        return [*ssh_command(self._program), *chosen, *words, *self.address.words]

    def is_open(self) -> bool:
        """Tell whether the shared connection is there."""
        return self._control("check").returncode == 0

    def open(self) -> None:
        """Connect, unless that has been done. What ``ssh`` asks for is asked at the terminal.

        Raises
        ------
        OffloadError
            If that does not work: whatever stands in the way, in plain words.
        """
        seconds = PROMPT_SECONDS if self._ask else OPEN_SECONDS
        if self.is_open():
            return
        with alone(f"{self.socket}.lock", seconds, lambda: None, f"connecting to {self.name}"):
            if not self.is_open():
                self._connect(seconds)
                self._check_shell()

    def _connect(self, seconds: float) -> None:
        log = f"{self.socket}.log"
        _remove(self.socket)  # left by a connection that was killed: ssh would not share a new one there
        with open(log, "wb"):
            pass
        with open(log, "ab") as output:
            process = subprocess.Popen(
                # What it has to say later stands in its log, too: why something is not forwarded.
                self._ssh("-M", "-N", "-f", "-E", log, "-o", "LogLevel=INFO", *_NO_FORWARDING),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=not self._ask,
            )
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise UnreachableError(f"{self.name} was not reached in {seconds:g} s", self.try_it()) from None
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        with open(log, "rb") as file:
            said = file.read()
        if code:
            raise self._translated(said)
        deadline = time.monotonic() + OPEN_SECONDS
        while not self.is_open():  # it is in the background, but may not listen yet
            if time.monotonic() > deadline:
                raise OffloadError(f"the connection to {self.name} went away at once", self.try_it())
            time.sleep(_INTERVAL)

    def _check_shell(self) -> None:
        """See whether a command is run there, and gets its input: start-up files of a shell can do what they like.

        Raises
        ------
        UnreachableError
            If not; the message says what it looks like.
        """
        done = self.run(["sh", "-c", f"echo {BEGUN.decode().strip()}; exec cat"], SENT, check=False)
        if not done.out.endswith(BEGUN + SENT):
            self.close()
            raise no_shell(self.name, done, BEGUN in done.out, f"try it: echo hello | {self.shown(['cat'])}")

    def shown(self, words: Sequence[str]) -> str:
        """Return a command of that machine as a user would type it here."""
        address = (word for word in self.address.words if word != "--")
        return f"{shlex.join([*ssh_command(self._program), *address])} {shlex.quote(super().shown(words))}"

    def command(self, words: Sequence[str]) -> list[str]:
        """Return the command that runs a command there."""
        # `exec sh -c` makes the words mean the same whatever the login shell is.
        return [*self._ssh("-o", "ControlMaster=no", *_NO_FORWARDING), "exec " + quoted(words)]

    def failed(self, done: Done) -> OffloadError | None:
        """Return why the machine was not reached: ``ssh`` itself then ends with 255."""
        if done.code != _FAILED:
            return None
        return self._translated(done.err)

    def settings(self) -> dict[str, str]:
        """Return what the user's configuration says of the machine, by ``ssh -G``; nothing where it is not accepted."""
        # Without a command, `ssh` refuses a configuration that sends it into the background.
        words = ["-G", "-o", "RemoteCommand=none", *self.address.words, "true"]
        done = self._run([*ssh_command(self._program), *words])
        pairs = (line.partition(" ") for line in done.stdout.decode("utf-8", "replace").splitlines())
        return {key: value for key, _, value in pairs}

    def _translated(self, said: bytes) -> UnreachableError:
        asked = self._ask and ("SSH_ASKPASS" in os.environ or _has_terminal())
        return translated(Attempt(self.address, said.decode("utf-8", "replace"), self.try_it(), self.settings(), asked))

    def check_forwarding(self, port: int) -> None:
        """See whether the machine lets connections through to a port of its loopback; nobody need listen there.

        Raises
        ------
        UnreachableError
            If its SSH server does not allow that.
        """
        log = f"{self.socket}.log"
        before = os.path.getsize(log) if os.path.exists(log) else 0
        done = self._run(self._ssh("-o", "ControlMaster=no", "-W", f"127.0.0.1:{port}"))
        if done.returncode == 0 or not os.path.exists(log):
            return
        with open(log, "rb") as file:
            file.seek(before)
            said = file.read()
        if b"prohibited" in said or b"prohibited" in done.stderr:
            raise UnreachableError(
                f"the SSH server of {self.address.host} does not allow tunnels (AllowTcpForwarding or PermitOpen)",
                f"ask its administrator for it, or do without: offload up {self.name} --route direct --ports A-B",
            )

    def forward(self, port: int, host: str, remote_port: int) -> None:
        """Have a port of this machine's loopback lead to a port that the other machine reaches.

        Raises
        ------
        OffloadError
            If the port is taken, or the connection is not there.
        """
        done = self._control("forward", "-L", _forwarding(port, host, remote_port))
        if done.returncode:
            raise OffloadError(f"port {port} cannot lead to {self.name}: {_last(done.stderr)}")

    def cancel(self, port: int, host: str, remote_port: int) -> None:
        """Undo `forward`. It is no error when the connection has gone."""
        self._control("cancel", "-L", _forwarding(port, host, remote_port))

    def _control(self, what: str, *options: str) -> subprocess.CompletedProcess[bytes]:
        # The connection is there. With the configuration of the user, ssh would ask for the forwards in it, too.
        return self._run(self._ssh("-F", os.devnull, "-O", what, *options))

    def _run(self, words: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
        try:
            return subprocess.run(
                words, stdin=subprocess.DEVNULL, capture_output=True, timeout=OPEN_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise UnreachableError(f"the connection to {self.name} hangs", self.try_it()) from None

    def try_it(self) -> str:
        """Return what a user can type to see what ``ssh`` says."""
        return "try it: " + shlex.join(
            [*ssh_command(self._program), "-v", *(w for w in self.address.words if w != "--")]
        )

    def close(self) -> None:
        """End the shared connection, and with it all forwarded ports."""
        if os.path.exists(self.socket):
            self._control("exit")
        for path in (self.socket, f"{self.socket}.log"):
            _remove(path)


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):  # ssh itself removes its socket when it ends
        os.unlink(path)


def ssh_command(program: str = "") -> list[str]:
    """Return the words of the ``ssh`` to use: those given, or those that the environment names.

    Raises
    ------
    UsageError
        If there is none.
    """
    chosen = program or os.environ.get(COMMAND, "")
    words = shlex.split(chosen) or ["ssh"]
    if shutil.which(words[0]) is None:
        hint = f"{COMMAND} names it: correct that" if chosen else "install OpenSSH's client, such as openssh-client"
        raise UsageError(f"there is no {words[0]} here", hint)
    return words


def _has_terminal() -> bool:
    """Tell whether there is a terminal at which ``ssh`` can ask."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR))
    except OSError:
        return False
    return True


def _forwarding(port: int, host: str, remote_port: int) -> str:
    host = f"[{host}]" if ":" in host else host
    return f"127.0.0.1:{port}:{host}:{remote_port}"


def _last(said: bytes) -> str:
    return said.decode("utf-8", "replace").strip().rpartition("\n")[2] or "ssh does not say why"
