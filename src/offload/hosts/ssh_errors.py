"""What ``ssh`` says when it does not get through, in plain words, with what to do."""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Callable, Mapping

from offload.errors import OffloadError
from offload.hosts.address import SshAddress
from offload.hosts.base import Done


class UnreachableError(OffloadError):
    """A machine cannot be reached over SSH."""


class LoginNeededError(UnreachableError):
    """A machine wants something that only its user can give: a password, a passphrase, a code."""


@dataclasses.dataclass(frozen=True)
class Attempt:
    """A try to get through, as far as it is needed to say what went wrong.

    Attributes
    ----------
    address : SshAddress
        The machine.
    said : str
        What ``ssh`` wrote.
    hint : str
        What a user can type to find out more.
    settings : mapping
        What ``ssh -G`` says of the machine: the user's configuration counts.
    asked : bool
        Whether the user could be asked for passwords and codes.
    """

    address: SshAddress
    said: str
    hint: str
    settings: Mapping[str, str]
    asked: bool

    @property
    def host(self) -> str:
        """The machine, as the user calls it."""
        return self.address.host

    @property
    def login(self) -> str:
        """What a user types to log in there."""
        return shlex.join(["ssh", *(word for word in self.address.words if word != "--")])

    @property
    def copy(self) -> str:
        """What a user types to make a key count there."""
        port = [] if self.address.port is None else ["-p", str(self.address.port)]
        user = "" if self.address.user is None else f"{self.address.user}@"
        return shlex.join(["ssh-copy-id", *port, f"{user}{self.host}"])

    @property
    def jump(self) -> str:
        """What to call the machine in between, "" where there is none."""
        hops = self.settings.get("proxyjump", "none")
        if hops == "none":
            return ""
        return f"the jump host {hops}" if "," not in hops else f"a jump host ({hops})"

    def who(self, place: str) -> str:
        """Return what to call the machine that ``ssh`` calls `place`: often it is a jump host."""
        plain = re.sub(r"^\[(.*)\]:\d+$", r"\1", place)
        own = (self.settings.get("hostname", self.host), self.settings.get("hostkeyalias", self.host), self.host)
        return f"{self.jump} of {self.host}" if self.jump and plain not in own else self.host


def _changed(attempt: Attempt, found: re.Match[str]) -> UnreachableError:
    file = re.search(r"Offending \S+ key in (.+):\d+", attempt.said)
    where = f"-f {shlex.quote(file[1])} " if file else ""
    return UnreachableError(
        f"the host key of {attempt.who(found['place'])} has changed: it was set up anew, or somebody stands in between",
        f"ask who runs it; when the change is right: ssh-keygen {where}-R {shlex.quote(found['place'])}, "
        f"then {attempt.login}",
    )


def _unknown(attempt: Attempt, found: re.Match[str]) -> UnreachableError:
    who = attempt.who(found.groupdict().get("place") or attempt.host)
    return UnreachableError(
        f"the host key of {who} is not known here", f"log in once and compare its fingerprint: {attempt.login}"
    )


def _no_name(attempt: Attempt, found: re.Match[str]) -> UnreachableError:
    who = attempt.who(found["place"])
    named = "" if found["place"] in who else f", {found['place']}"
    return UnreachableError(
        f"there is no host {who}{named}: its name is not known here",
        f"check the name, and the entries in ~/.ssh/config: {attempt.hint}",
    )


def _not_connected(attempt: Attempt, found: re.Match[str]) -> UnreachableError:
    who, why = attempt.who(found["place"]), found["why"]
    if "refused" in why:
        reason = f"nothing listens for SSH at {who}: port {found['port']} of {found['place']} refuses connections"
        return UnreachableError(reason, f"is it up, and the port right? {attempt.hint}")
    return UnreachableError(
        f"{who} does not answer: {found['place']}, port {found['port']}: {why}",
        f"is it up, and reached from here, perhaps only through a VPN or a jump host? {attempt.hint}",
    )


def _silent(attempt: Attempt, found: re.Match[str]) -> UnreachableError:
    behind = f", or {attempt.jump} does not reach it" if attempt.jump else ""
    return UnreachableError(
        f"{attempt.host} does not answer{behind}: {found[0]}", f"is it up, or overloaded? {attempt.hint}"
    )


def _not_from_jump(attempt: Attempt, found: re.Match[str]) -> UnreachableError:
    jump = attempt.jump or "the machine in between"
    if "prohibited" in found["why"]:
        return UnreachableError(
            f"{jump} does not let connections through to {attempt.host}: {found['why']}",
            "its administrator allows that with AllowTcpForwarding; or use another ProxyJump in ~/.ssh/config",
        )
    return UnreachableError(
        f"{jump} does not reach {attempt.host}: {found['why']}", f"is {attempt.host} up? {attempt.hint}"
    )


def _many_keys(attempt: Attempt, found: re.Match[str]) -> UnreachableError:
    return LoginNeededError(
        f"{attempt.host} does not let you in: too many keys were tried",
        f"name the right one in ~/.ssh/config, with IdentityFile and IdentitiesOnly yes: {attempt.hint}",
    )


def _denied(attempt: Attempt, found: re.Match[str]) -> UnreachableError:
    user, who, said = found["user"], attempt.who(found["place"]), attempt.said
    refused = f"{who} does not let {user} in"
    if key := re.search(r'Load key "(.+)": bad permissions', said):
        path = shlex.quote(key[1])
        return LoginNeededError(f"{refused}: the key {key[1]} can be read by others, so ssh does not use it",
                                f"chmod 600 {path}, then again")  # fmt: skip
    if key := re.search(r"no such identity: (.+?): No such file|Identity file (.+?) not accessible", said):
        path = key[1] or key[2]
        return LoginNeededError(
            f"{refused}: the key {path} is not there",
            f"name the right one with IdentityFile in ~/.ssh/config, or make it: ssh-keygen -f {shlex.quote(path)}, "
            f"then {attempt.copy}",
        )
    wants = f"it wants {found['methods'].replace(',', ' or ')}"
    if attempt.asked:
        return LoginNeededError(f"{refused}: {wants}", f"is it the right user, key and password? {attempt.hint}")
    return LoginNeededError(
        f"{refused} without asking: {wants}",
        f"is it the right user and key? ssh-add, if the key has a passphrase; passwords and codes are asked for in a "
        f"terminal; {attempt.hint}",
    )


def _configuration(attempt: Attempt, found: re.Match[str]) -> UnreachableError:
    return UnreachableError(f"ssh does not accept its configuration: {found[0]}", f"correct that; {attempt.hint}")


def _closed(attempt: Attempt, found: re.Match[str]) -> UnreachableError:
    return UnreachableError(
        f"the connection to {attempt.host} was closed: {found[0]}", f"is it overloaded, or going down? {attempt.hint}"
    )


def no_shell(name: str, done: Done, begun: bool, hint: str) -> UnreachableError:
    """Return the error for a machine that lets in and runs no command, or not with its input.

    Parameters
    ----------
    name : str
        The machine.
    done : Done
        The command, which was to write what it reads.
    begun : bool
        Whether it was begun.
    hint : str
        What a user can type to see it.
    """
    files = "the start-up files of the login shell (.bashrc, .cshrc, config.fish)"
    if begun:
        return UnreachableError(
            f"{files} on {name} read standard input: what is sent there does not arrive whole",
            f"let them read in terminals only: [ -t 0 ] && read ...; {hint}",
        )
    if "sftp" in done.said:
        return UnreachableError(f"{name} is for copying files only, and runs no commands: {done.said}", hint)
    said = f" with: {done.said}" if done.out + done.err else ""
    return UnreachableError(
        f"{name} lets you in, but ends before it runs a command (exit code {done.code}){said}",
        f"do {files} there end the shell? is the machine closed for now? {hint}",
    )


# What ssh says, those first that say most; also what it says when the user's configuration makes it say less.
_KNOWN: list[tuple[str, Callable[[Attempt, re.Match[str]], UnreachableError]]] = [
    (r"[Hh]ost key for (?P<place>\S+) has changed", _changed),
    (r"No .*host key is known for (?P<place>\S+)", _unknown),
    (r"Host key verification failed.*", _unknown),
    (r"Could not resolve hostname (?P<place>[^:\s]+).*", _no_name),
    (r"connect to (host|address) (?P<place>\S+) port (?P<port>\d+): (?P<why>.+)", _not_connected),
    (r"Bad owner or permissions on .*|.*Bad configuration option.*|.* bad configuration options.*", _configuration),
    (r"channel \d+: open failed: (?P<why>.+)", _not_from_jump),
    (r"Too many authentication failures", _many_keys),
    (r"(?P<user>\S+)@(?P<place>\S+): Permission denied \((?P<methods>.*)\)", _denied),
    (r"Connection .*timed out.*|Timeout, server .* not responding.*", _silent),
    (r".*(stdio forwarding failed|kex_exchange|Connection closed|Connection reset|Broken pipe).*", _closed),
]  # fmt: skip


def translated(attempt: Attempt) -> UnreachableError:
    """Return the error that stands for what ``ssh`` has said."""
    text = "\n".join(line.strip() for line in attempt.said.splitlines() if not line.startswith("debug"))
    for pattern, meaning in _KNOWN:
        found = re.search(pattern, text)
        if found is not None:
            return meaning(attempt, found)
    lines = [line for line in text.splitlines() if line and not line.startswith("@")]
    last = lines[-1] if lines else "ssh said nothing"
    return UnreachableError(f"{attempt.address} cannot be reached: {last}", attempt.hint)
