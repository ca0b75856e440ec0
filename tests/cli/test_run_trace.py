"""``offload run --trace``: what a command uses that does not count, as strace sees it."""

from __future__ import annotations

import json
import shlex
import shutil
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from offload.commands.trace import accesses
from tests.cli.conftest import Inside

WITHOUT = "strace is not installed, so nothing of --trace is tested: apt-get install strace"
needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason=WITHOUT)


def traced(inside: Inside, work: Path, *words: str) -> Any:
    done = inside("run", "--trace", "--json", *words, cwd=work)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stderr)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    path = tmp_path / "work"
    path.mkdir()
    return path


@needs_strace
def test_what_is_missing(inside: Inside, work: Path) -> None:
    (work / "main.py").write_text(
        "import os\n"
        "os.path.exists('table.csv')\n"
        "try:\n    open('settings')\nexcept OSError:\n    pass\n"
        "os.path.exists('nowhere')\n"
        "open('data').read()\n"
    )
    for name in ("settings", "table.csv", "data", "unrelated"):
        (work / name).write_text("")
    found = traced(inside, work, "--input", "data", "--", sys.executable, "main.py")
    assert found["missing"] == ["settings", "table.csv"]
    assert found["flags"] == ["--input settings", "--input table.csv"]
    flags = [word for flag in found["flags"] for word in flag.split()]
    again = traced(inside, work, *flags, "--input", "data", "--", sys.executable, "main.py")
    assert [again[name] for name in ("missing", "read", "written", "programs", "connections")] == [[]] * 5
    assert json.loads(inside("history", "--json").stdout) == [], "nothing is recorded"


@needs_strace
def test_what_is_proposed_can_be_typed(inside: Inside, work: Path) -> None:
    name = "two words\nof 'one' \u00e4"
    (work / name).write_text("x")
    (work / "job.sh").write_text('cat "$(printf "$1")"')
    command = ["--", "sh", "job.sh", "two words\\nof 'one' \\303\\244"]
    done = inside("run", "--trace", "--json", *command, cwd=work)
    (flag,) = json.loads(done.stderr.splitlines()[-1])["flags"]
    lines = inside("run", "--trace", *command, cwd=work).stderr.decode()
    assert f"which exists here and is no input: add {flag}\n" in lines
    assert json.loads(inside("run", "--trace", "--json", *shlex.split(flag), *command, cwd=work).stderr)["flags"] == []
    assert shlex.split(flag) == ["--input", name]


@needs_strace
def test_a_module_beside_the_script(inside: Inside, work: Path) -> None:
    (work / "main.py").write_text("import helper")
    (work / "helper.py").write_text("")
    done = inside("run", "--trace", "--json", "--", sys.executable, "main.py", cwd=work)
    assert done.returncode == 1
    assert json.loads(done.stderr.splitlines()[-1])["flags"] == ["--input helper.py"]
    assert traced(inside, work, "--input", "helper.py", "--", sys.executable, "main.py")["flags"] == []


@needs_strace
def test_what_is_read_and_written_elsewhere(inside: Inside, work: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside \u00e4 file"
    outside.write_text("x")
    script = f"read line < '{outside}'; echo $line > '{tmp_path}/log'; cat /etc/passwd > /dev/null"
    (work / "job.sh").write_text(script)
    found = traced(inside, work, "--", "sh", "job.sh")
    assert found["read"] == [str(outside)]
    assert found["written"] == [f"{tmp_path}/log"]
    again = traced(inside, work, "--input", str(outside), "--", "sh", "job.sh")
    assert again["read"] == []


@needs_strace
def test_programs_that_do_not_count(inside: Inside, work: Path, tmp_path: Path) -> None:
    tool = tmp_path / "tools" / "bin" / "tool"
    tool.parent.mkdir(parents=True)
    tool.write_text("#!/bin/sh\necho from the tool\n")
    tool.chmod(0o755)
    (work / "job.sh").write_text(f"{tool}\n")
    assert traced(inside, work, "--", "sh", "job.sh")["programs"] == [str(tool)]


@needs_strace
def test_connections(inside: Inside, work: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code = f"import socket; socket.create_connection(('127.0.0.1', {port})).close()"
        found = traced(inside, work, "--", sys.executable, "-c", code)
    assert found["connections"] == [f"127.0.0.1:{port}"]


@needs_strace
def test_in_words(inside: Inside, work: Path) -> None:
    (work / "main.sh").write_text("cat data; exit 3")
    (work / "data").write_text("")
    (work / "out").write_text("kept")
    done = inside("run", "--trace", "-o", "out", "--", "sh", "main.sh", cwd=work)
    assert done.returncode == 3
    lines = done.stderr.decode().splitlines()
    assert "offload: looked for data, which exists here and is no input: add --input data" in lines
    assert lines[-1] == "offload: traced; nothing was recorded, and no output brought back"
    assert (work / "out").read_text() == "kept"
    text = inside("run", "--trace", "--", "true", cwd=work).stderr.decode()
    assert "offload: it used nothing that does not count" in text


def test_without_strace(inside: Inside, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (work / "bin").mkdir()
    monkeypatch.setenv("PATH", str(work / "bin"))
    done = inside("run", "--trace", "--", "/bin/true")
    assert done.returncode == 125
    assert b"--trace needs strace, which is not installed here" in done.stderr
    assert b"apt-get install strace" in done.stderr


def test_where_tracing_is_not_allowed(inside: Inside, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = "strace: ptrace(PTRACE_TRACEME, ...): Operation not permitted"
    (work / "strace").write_text(f"#!/bin/sh\necho '{refusal}' >&2; exit 1\n")
    (work / "strace").chmod(0o755)
    monkeypatch.setenv("PATH", f"{work}:/usr/bin:/bin")
    done = inside("run", "--trace", "--", "true")
    assert done.returncode == 125
    assert f"strace could trace nothing: {refusal}" in done.stderr.decode()
    assert b"SYS_PTRACE" in done.stderr


def test_one_command_at_a_time(inside: Inside) -> None:
    done = inside("run", "--trace", "--", "echo", "{}", ":::", "a")
    assert done.returncode == 125
    assert b"--trace follows one command" in done.stderr


def test_the_log_is_understood() -> None:
    connecting = (
        "8 connect(3<TCP:[1]>, {sa_family=AF_INET6, sin6_port=htons(443), sin6_flowinfo=htonl(0), "
        'inet_pton(AF_INET6, "::1", &sin6_addr), sin6_scope_id=0}, 28) = -1 EINPROGRESS (Operation now in progress)\n'
    )
    log = [
        '7 openat(AT_FDCWD</tmp/w>, "a", O_RDONLY) = -1 ENOENT (No such file or directory)\n',
        '7 openat(5</tmp/w/d>, "b\\"c\\303\\244", O_WRONLY|O_CREAT, 0666 <unfinished ...>\n',
        '8 execve("/bin/ls", ["ls", "= -1 ENOENT"], 0x7ff /* 2 vars */) = 0\n',
        "7 <... openat resumed>) = 3</tmp/w/d/b>\n",
        connecting,
        '8 connect(3<UNIX:[1]>, {sa_family=AF_UNIX, sun_path="/run/x"}, 110) = 0\n',
        '8 connect(3<UDP:[1]>, {sa_family=AF_INET, sin_port=htons(0), sin_addr=inet_addr("1.2.3.4")}, 16) = 0\n',
        "8 +++ exited with 0 +++\n",
        "garbage\n",
    ]
    found = [(access.call, access.text, access.error, access.writes) for access in accesses(log)]
    assert found == [
        ("openat", "/tmp/w/a", "ENOENT", False),
        ("execve", "/bin/ls", "", False),
        ("openat", '/tmp/w/d/b"c\u00e4', "", True),
        ("connect", "[::1]:443", "EINPROGRESS", False),
        ("connect", "/run/x", "", False),
    ]
