"""The starter runs real commands: what they find, what becomes of what they leave, and what ends them."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import pytest

from offload.commands.running.session_members import is_alive
from offload.commands.starter import client, program
from offload.commands.starter.client import Starter

SH = "/bin/sh"
ENVIRONMENT = {b"PATH": os.environ["PATH"].encode()}
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives orphans to whom it is asked to")


class Told:
    """A starter, and what it says."""

    def __init__(self, aside: Path, most: int = 1) -> None:
        self.aside = aside
        self.starter = Starter(most, str(aside))
        self.messages: SimpleQueue[tuple[Any, ...]] = SimpleQueue()

    def begin(self, text: str, **options: Any) -> int:
        return self.starter.run(
            self.messages.put,
            [SH, "-c", text],
            SH,
            ENVIRONMENT,
            spool=str(self.aside / os.urandom(4).hex()),
            **options,
        )

    def run(self, text: str, **options: Any) -> tuple[Any, ...]:
        self.begin(text, **options)
        return self.messages.get(timeout=60)

    def stdout(self, text: str) -> str:
        message = self.run(text)
        assert message[0] == "ended"
        assert (message[2], message[8]) == (0, b""), message
        written: bytes = message[7]
        return written.decode()


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Told]:
    one = Told(tmp_path)
    yield one
    one.starter.close()


def eventually(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_a_command_finds(told: Told, tmp_path: Path) -> None:
    lines = told.stdout("pwd; echo $HOME; echo $TMPDIR; ls -A; ls -A $HOME; ls -A $TMPDIR; umask").splitlines()
    assert len(lines) == 4  # the directories are empty
    assert all(line.startswith(f"{tmp_path}/") for line in lines[:3])
    assert lines[3].endswith("022")
    assert told.stdout("ls /proc/self/fd").split() == ["0", "1", "2", "3"]  # the last is that of ls itself


def test_a_command_leads_a_session_of_its_own(told: Told) -> None:
    pid, session, group = told.stdout("echo $$; ps -o sid=,pgid= -p $$").split()
    assert pid == session == group


def test_signals_that_the_starter_ignores_work_in_commands(told: Told) -> None:
    for name in ("INT", "TERM", "HUP", "QUIT", "PIPE"):
        assert told.run(f"ulimit -c 0; kill -{name} $$; sleep 20")[2] == 128 + getattr(signal, f"SIG{name}")


def test_directories_are_used_again_as_long_as_they_are_as_new(told: Told) -> None:
    first = told.stdout("pwd")
    assert told.stdout("pwd") == first
    assert told.stdout("f=$TMPDIR/x; echo 1 > $f; rm $f; touch y; rm y; pwd") == first
    assert told.stdout("pwd") == first


@pytest.mark.parametrize(
    "text", ["touch x", "touch .x", "touch ../x", "touch ../../x", "touch $HOME/x", "mkdir $TMPDIR/x", "chmod 700 ."]
)
def test_what_a_command_leaves_is_not_there_for_the_next(told: Told, text: str) -> None:
    place = told.stdout("pwd").strip()
    message = told.run(text)
    assert message[10] == str(Path(place).parent.parent)
    assert told.stdout("pwd").strip() != place
    assert told.stdout("find $PWD/../.. | wc -l").strip() == "5"
    assert told.stdout("stat -c %a .").strip() == "755"


@linux
def test_what_escapes_its_session_does_not_meet_the_next_command(told: Told) -> None:
    message = told.run("setsid sh -c 'exec >&- 2>&-; sleep 300' & sleep 0.2; pwd; echo $!")
    place, pid = message[7].decode().split()
    try:
        assert message[9] is True
        assert message[10] == str(Path(place).parent.parent)
        assert told.stdout("pwd").strip() != place
    finally:
        os.killpg(int(pid), signal.SIGKILL)
    eventually(lambda: told.stdout("pwd") == told.stdout("pwd"))


def test_processes_that_are_left_are_ended(told: Told) -> None:
    message = told.run("sleep 300 & echo $$ $!")
    session, left = message[7].decode().split()
    assert message[9] is False
    assert not is_alive(int(session))
    assert not Path(f"/proc/{left}/cmdline").exists() or not Path(f"/proc/{left}/cmdline").read_bytes()


def test_processes_that_end_soon_are_waited_for(told: Told) -> None:
    message = told.run("(sleep 0.3; echo late) & echo early")
    assert (message[7], message[9]) == (b"early\nlate\n", True)
    message = told.run("(exec >&- 2>&-; sleep 0.3; touch late) & echo early")
    assert (message[7], message[9]) == (b"early\n", True)
    assert os.listdir(message[10] + "/tree/cwd") == ["late"]


def test_output_is_whole(told: Told, tmp_path: Path) -> None:
    assert told.run("echo a >&2; echo b > /dev/stderr; echo c")[7:9] == (b"c\n", b"a\nb\n")
    stdout = told.run("seq 1 100000; echo problem >&2")[7]
    assert Path(stdout).read_text().split() == [str(number) for number in range(1, 100001)]
    told.begin("echo one; sleep 0.2; echo two >&2", live=True)
    found = [told.messages.get(timeout=60) for _ in range(3)]
    assert [message[2:] for message in found[:2]] == [(0, b"one\n"), (1, b"two\n")]
    assert found[2][7:9] == (b"one\n", b"two\n")


def test_standard_input(told: Told, tmp_path: Path) -> None:
    (tmp_path / "words").write_text("b\na\n")
    assert told.run("sort", stdin=str(tmp_path / "words"))[7] == b"a\nb\n"
    assert told.run("cat")[7] == b""


def test_what_cannot_be_executed(told: Told, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("echo hello\n")
    (tmp_path / "text").chmod(0o755)
    (tmp_path / "broken").write_text("#!/no/such/program\n")
    (tmp_path / "broken").chmod(0o755)
    found = []
    for name in ("text", "broken", "none"):
        told.starter.run(told.messages.put, [name], str(tmp_path / name), ENVIRONMENT, spool=str(tmp_path / "s"))
        found.append(told.messages.get(timeout=60)[::2])
    words = ["x" * 100_000] * 100
    told.starter.run(told.messages.put, ["echo", *words], "/bin/echo", ENVIRONMENT, spool=str(tmp_path / "s"))
    found.append(told.messages.get(timeout=60)[::2])
    codes = (errno.ENOEXEC, errno.ENOENT, errno.ENOENT, errno.E2BIG)
    assert found == [("refused", code) for code in codes]
    assert told.stdout("echo it goes on") == "it goes on\n"


def test_a_timeout(told: Told) -> None:
    assert told.run("trap 'exit 3' TERM; while :; do sleep 0.01; done", timeout=0.3)[2] == 124


def test_commands_are_ended(told: Told, tmp_path: Path) -> None:
    running = told.begin(f"trap 'echo interrupted; exit 7' INT; touch {tmp_path}/runs; while :; do sleep 0.01; done")
    waiting = told.begin("echo never")
    eventually((tmp_path / "runs").exists)
    told.starter.end()
    messages = {message[1]: message for message in (told.messages.get(timeout=60) for _ in range(2))}
    assert messages[waiting][0] == "dropped"
    assert messages[running][2] == 7
    assert messages[running][7] == b"interrupted\n"
    stubborn = told.begin(f"trap '' INT TERM; touch {tmp_path}/again; while :; do sleep 0.01; done")
    eventually((tmp_path / "again").exists)
    told.starter.end(stubborn)
    told.starter.end(stubborn, hard=True)
    assert told.messages.get(timeout=60)[2] == 137


def test_when_the_starter_is_killed_so_are_its_commands(told: Told, tmp_path: Path) -> None:
    running = told.begin(f"echo $$ > {tmp_path}/part; mv {tmp_path}/part {tmp_path}/pid; sleep 300 & sleep 300")
    waiting = told.begin("echo never")
    eventually((tmp_path / "pid").exists)
    session = int((tmp_path / "pid").read_text())
    os.kill(told.starter.pid, signal.SIGKILL)
    found = {message[1]: message for message in (told.messages.get(timeout=60) for _ in range(2))}
    assert found == {running: ("lost", running, True), waiting: ("lost", waiting, False)}
    assert told.starter.lost
    eventually(lambda: not is_alive(session))


def test_a_starter_that_is_killed_before_it_has_begun_says_so(told: Told) -> None:
    number = told.begin("echo never")
    os.kill(told.starter.pid, signal.SIGKILL)  # Python takes longer to start
    assert told.messages.get(timeout=60) == ("lost", number, False)
    assert told.starter.lost


def test_what_is_given_to_a_starter_after_its_end_is_lost_at_once(told: Told) -> None:
    assert told.stdout("echo") == "\n"
    os.kill(told.starter.pid, signal.SIGKILL)
    eventually(lambda: told.starter.lost)
    assert told.run("echo never")[::2] == ("lost", False)


def test_a_starter_is_lost_in_a_program_that_ignores_the_ends_of_processes(told: Told) -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        number = told.begin("sleep 300")
        os.kill(told.starter.pid, signal.SIGKILL)
        assert told.messages.get(timeout=60)[:2] == ("lost", number)
    finally:
        signal.signal(signal.SIGCHLD, before)


PARENT = """
import os, sys, time
from offload.commands.starter.client import Starter
starter = Starter(1, sys.argv[1])
text = "echo $$ > part; mv part $PLACE/pid; sleep 300 & timeout 300 sleep 300"
environment = {b"PATH": os.environ["PATH"].encode(), b"PLACE": os.fsencode(sys.argv[1])}
starter.run(print, ["sh", "-c", text], "/bin/sh", environment, spool="s")
if os.fork() == 0:
    os.closerange(0, 3)
    time.sleep(300)  # holds nothing of the starter's
print("ready", flush=True)
time.sleep(300)
"""


@linux
@pytest.mark.parametrize("again", [False, True])
def test_a_starter_that_is_stopped_goes_on_or_is_lost(
    told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    monkeypatch.setattr(client, "LOOK_EVERY", 0.05)
    if again:
        monkeypatch.setattr(signal, "SIGCONT", signal.SIGSTOP)
    begun = tmp_path / "begun"
    number = told.begin(f"touch {begun}; sleep 0.3; echo done")
    eventually(begun.exists)
    os.kill(told.starter.pid, signal.SIGSTOP)
    message = told.messages.get(timeout=60)
    assert message[:2] == ("lost" if again else "ended", number)
    assert message[2] is True if again else message[7] == b"done\n"


@linux
def test_a_starter_that_is_stopped_can_be_let_go_of(told: Told) -> None:
    assert told.stdout("echo") == "\n"
    os.kill(told.starter.pid, signal.SIGSTOP)
    told.starter.close()


def test_output_that_cannot_be_kept_ends_that_command_alone(told: Told, tmp_path: Path) -> None:
    spool = str(tmp_path / "there" / "spool")
    environment, text = ENVIRONMENT, "touch here; cat /dev/zero"
    number = told.starter.run(told.messages.put, [SH, "-c", text], SH, environment, spool=spool)
    message = told.messages.get(timeout=60)
    assert message[:3] == ("broken", number, errno.ENOENT)
    assert os.listdir(f"{message[3]}/tree/cwd") == ["here"]
    assert told.stdout("echo") == "\n"


def test_what_is_not_taken_holds_a_command_up(told: Told) -> None:
    """Its output is whole in the end, though it has waited for longer than what is left behind may."""
    number = told.begin("head -c 9000000 /dev/zero", live=True)
    size = 0
    with suppress(Empty):  # nothing comes for a while
        while True:
            size += len(told.messages.get(timeout=program.GRACE + 1)[3])
    assert size < 2 * program.MOST_AHEAD
    told.starter.taken(number, size)
    while (message := told.messages.get(timeout=60))[0] == "output":
        size += len(message[3])
        told.starter.taken(number, len(message[3]))
    assert size == 9_000_000
    assert (message[2], message[9], os.path.getsize(message[7])) == (0, True, 9_000_000)


def test_when_its_parent_is_killed_the_starter_ends_all(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        eventually((tmp_path / "pid").exists)
        session = int((tmp_path / "pid").read_text())
        process.kill()
        process.wait()
        process.stdout.close()
        eventually(lambda: not is_alive(session))
    finally:
        os.killpg(process.pid, signal.SIGKILL)


def test_many(tmp_path: Path) -> None:
    told = Told(tmp_path, 4)
    try:
        numbers = {told.begin(f"echo {number}"): number for number in range(500)}
        found = [told.messages.get(timeout=60) for _ in numbers]
        assert {message[1]: int(message[7]) for message in found} == numbers
        assert len([name for name in os.listdir(tmp_path) if name.startswith("empty-")]) <= 4
    finally:
        told.starter.close()
