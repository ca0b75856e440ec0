"""``offload shell``: the lines that it makes, and real shells at a real terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import signal
import time
from pathlib import Path

import pytest

from offload.cli.shells.line import rewritten
from offload.registry.deployments import Place
from tests.conftest import Offload
from tests.deploy.test_local import place, registry
from tests.requirements import requires_program

__all__ = ["place", "registry"]

SECONDS = 60.0


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("sort words", "offload run -- sort words"),
        ("sort -k '1|2' \"a;b\" a\\;b $x ${y:-|} $(date; id) *.txt", None),
        ("sort < words > sorted 2>&1", "offload run -- sort < words > sorted 2>&1"),
        ("sort words | uniq -c", "offload run -- bash -c 'sort words | uniq -c'"),
        ("sort words | uniq > u 2> e", "offload run -- bash -c 'sort words | uniq > u 2> e'"),
        ("sort words | uniq > u", "offload run -- bash -c 'sort words | uniq' > u"),
        ("sort words && echo 'x'", "offload run -- bash -c 'sort words && echo '\"'\"'x'\"'\"''"),
        ("sort a && sort b > c", "offload run -- bash -c 'sort a && sort b > c'"),
        ("A=1 B=2 env", "offload run -- bash -c 'A=1 B=2 env'"),
        ("diff <(sort a) <(sort b)", "offload run -- bash -c 'diff <(sort a) <(sort b)'"),
        ("(sort a; sort b)", "offload run -- bash -c '(sort a; sort b)'"),
    ],
)
def test_lines_that_are_sent(line: str, expected: str | None) -> None:
    expected = expected or f"offload run -- {line}"
    assert rewritten("wrap", "bash", "offload", "file", "", line) == expected
    assert rewritten("key", "bash", "offload", "file", "", f" {line}") == expected


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("", ""),
        ("# sort words", ""),
        (" sort words", "file"),
        ("\\sort words", "file"),
        ("cd /tmp", "builtin"),
        ("cd /tmp && ls", "file"),
        ("make && cd build", "file"),
        ("A=1", ""),
        ("for f in *; do", "keyword"),
        ("own a b", "function"),
        ("offload status", "file"),
        ("ls", "alias"),
        ("ls -l | sort", "file"),
        ("rm words", "file"),
        ("git status", "file"),
        ("sort words && less sorted", "file"),
        ("/opt/bin/offload status", "file"),
        ("sleep 100 &", "file"),
        ("sort 'words", "file"),
        ("sort words |", "file"),
        ("sort words \\", "file"),
        ("cat <<EOF", "file"),
        ("!!", ""),
    ],
)
def test_lines_that_stay_as_they_are(line: str, kind: str) -> None:
    assert rewritten("wrap", "bash", "/opt/bin/offload", kind, "", line) == line


@pytest.mark.parametrize(
    ("line", "kind", "alias", "expected"),
    [
        ("echo x", "builtin", "", "offload run -- echo x"),
        ("\\sort x", "file", "", "offload run -- sort x"),
        ("ll x", "alias", "ls -l", "offload run -- ls -l x"),
        ("ll x", "alias", "ls -l | cat", "offload run -- bash -c 'ls -l | cat x'"),
        ("own a", "function", "", "offload run -- bash -c 'own a'"),
        ("time sort a", "keyword", "", "offload run -- bash -c 'time sort a'"),
    ],
)
def test_lines_for_the_key(line: str, kind: str, alias: str, expected: str) -> None:
    assert rewritten("key", "bash", "offload", kind, alias, line) == expected


CONTROL = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]|\x08")


class Terminal:
    """A program at a terminal of its own."""

    def __init__(self, command: list[str], directory: Path, environment: dict[str, str]) -> None:
        self.pid, self._file = pty.fork()
        if self.pid == 0:
            os.chdir(directory)
            os.execve(command[0], command, {**os.environ, **environment})
        self._shown = ""

    def expect(self, pattern: str) -> str:
        """Wait until what is shown from where the last one was found on has this; return what came before."""
        deadline = time.monotonic() + SECONDS
        while not (found := re.search(pattern, CONTROL.sub("", self._shown))):
            assert time.monotonic() < deadline, f"no {pattern!r} in {self._shown!r}"
            if select.select([self._file], [], [], 0.1)[0]:
                self._shown += self._read()
        self._shown = found.string[found.end() :]
        return found.string[: found.start()]

    def _read(self) -> str:
        try:
            return os.read(self._file, 65536).decode(errors="replace")
        except OSError:  # everything that could write is gone
            return "<END>"

    def send(self, text: str, end: str = "\r") -> None:
        os.write(self._file, (text + end).encode())

    def close(self) -> int:
        os.close(self._file)
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.05)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        raise AssertionError("the shell did not end")


RC = {
    "bash": (".bashrc", "PS1='own> '\nPROMPT_COMMAND='true;'\nalias srt=sort\nMINE=yes\nown() { echo own $1; }\n"),
    "zsh": (".zshrc", "PROMPT='own> '\nalias srt=sort\nMINE=yes\nown() { echo own $1; }\nunsetopt prompt_sp\n"),
    "fish": (
        ".config/fish/config.fish",
        """
        function fish_prompt; echo -n 'own> '; end
        set -g MINE yes
        function own; echo own $argv[1]; end
        set -g fish_greeting
        """,
    ),
}


def opened(shell: str, command: Path, tmp_path: Path, *options: str) -> Terminal:
    user = tmp_path / "user"
    (user / ".config" / "fish").mkdir(parents=True, exist_ok=True)
    name, text = RC[shell]
    (user / name).write_text(text)
    (user / "words").write_text("b\na\n")
    (user / "temporary").mkdir(exist_ok=True)
    environment = {
        "HOME": str(user), "SHELL": shutil.which(shell) or shell, "TERM": "dumb", "TMPDIR": str(user / "temporary"),
        "PATH": f"{command.parent}:{os.environ['PATH']}",
    }  # fmt: skip
    found = Terminal([str(command), "shell", "test", *options], user, environment)
    found.expect(r"\(test\) own> ")
    return found


@pytest.mark.real
@pytest.mark.parametrize("shell", list(RC))
def test_a_shell_bound_to_a_deployment(shell: str, place: Place, command: Path, tmp_path: Path) -> None:
    requires_program(shell)
    terminal = opened(shell, command, tmp_path)
    assert not list((tmp_path / "user" / "temporary").glob("offload-*"))
    terminal.send("echo $OFFLOAD_DEPLOYMENT-$MINE")
    terminal.expect(r"test-yes\r?\n")
    terminal.expect(r"\(test\) own> ")
    terminal.send("sort words" if shell == "fish" else "srt words", end="\x1b\r")
    terminal.expect(r"a\r?\nb\r?\n")
    terminal.expect(r"\(test\) own> ")
    terminal.send("sort words | head -n 1", end="\x1b\r")
    terminal.expect(r"offload run -- \w+ -c 'sort words | head -n 1'")
    terminal.expect(r"a\r?\n")
    terminal.expect(r"\(test\) own> ")
    terminal.send("sort words > sorted; wc -l < sorted")
    before = terminal.expect(r"2\r?\n")
    assert "offload" not in before
    terminal.expect(r"\(test\) own> ")
    terminal.send("exit 7")
    terminal.expect("<END>")
    assert terminal.close() == 7


@pytest.mark.real
@pytest.mark.parametrize("shell", list(RC))
def test_every_line_through_it(shell: str, place: Place, command: Path, tmp_path: Path, offload: Offload) -> None:
    requires_program(shell)
    terminal = opened(shell, command, tmp_path, "--wrap")
    shown = r"\(test\) own> "
    terminal.send("sort words")
    terminal.expect(r"offload run -- sort words")
    terminal.expect(r"a\r?\nb\r?\n")
    terminal.expect(shown)
    terminal.send("sort words > sorted")
    terminal.expect(r"offload run -- sort words > sorted\s*\n")
    terminal.expect(shown)
    assert (tmp_path / "user" / "sorted").read_text() == "a\nb\n"
    for line, output in (("cd / && pwd", "/"), ("pwd", "/"), ("own 7", "own 7"), (" echo $MINE", "yes")):
        terminal.send(line)
        assert "offload run" not in terminal.expect(rf"[\r\n]{output}\r?\n")
        terminal.expect(shown)
    terminal.send("echo 'first")  # not complete: what follows belongs to it
    terminal.send("sort words'")
    assert "offload run" not in terminal.expect(r"[\r\n]first\r?\nsort words\r?\n")
    terminal.expect(shown)
    terminal.send("exit")
    terminal.expect("<END>")
    assert terminal.close() in (0, 1)
    assert offload("history").stdout.count(b"sort words") == 1


@pytest.mark.real
def test_a_shell_that_has_no_keys_is_plain(place: Place, command: Path, tmp_path: Path) -> None:
    environment = {"SHELL": requires_program("dash"), "PS1": "own> "}
    terminal = Terminal([str(command), "shell", "test"], tmp_path, environment)
    terminal.expect("own> ")
    terminal.send("echo $OFFLOAD_DEPLOYMENT.")
    terminal.expect(r"test\.\r?\n")
    terminal.send("exit 3")
    terminal.expect("<END>")
    assert terminal.close() == 3
    refused = Terminal([str(command), "shell", "test", "--wrap"], tmp_path, environment)
    refused.expect("--wrap knows bash, zsh, fish, and not dash")
    refused.expect("<END>")
    assert refused.close() == 2


def test_without_a_terminal(offload: Offload) -> None:
    done = offload("shell")
    assert (done.returncode, b"needs a terminal" in done.stderr) == (2, True)
