"""What is started finds the same, whether this process goes to its directory for a moment or not."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import json, os, sys, threading
directory, here, beside = sys.argv[1:]
os.umask(0o077)
os.chdir(here)
if beside == "gone":
    os.rmdir(here)
if beside == "thread":
    threading.Thread(target=threading.Event().wait, daemon=True).start()
leak = os.open("/dev/null", os.O_RDONLY)
os.set_inheritable(leak, True)
from offload.commands.running.spawn import spawn
reading, writing = os.pipe()
nowhere = os.open("/dev/null", os.O_RDWR)
text = 'pwd; umask; ls /proc/self/fd | wc -l; grep SigIgn /proc/self/status; echo $A; cut -d" " -f6 /proc/$$/stat'
variables = {"A": "b", "PATH": os.environ["PATH"]}
pid = spawn(["sh", "-c", text], "/bin/sh", variables, (nowhere, writing, nowhere), directory)
os.close(writing)
with open(reading) as stream:
    *said, session = stream.read().split("\\n")[:-1]
code = os.waitpid(pid, 0)[1]
cwd = None if beside == "gone" else os.getcwd()
modules = "subprocess" in sys.modules
print(json.dumps([said, int(session) == pid, code, cwd, os.umask(0), modules]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("beside", ["nothing", "thread", "gone"])
def test_a_program_finds_its_directory_and_nothing_else_of_its_parent(tmp_path: Path, beside: str) -> None:
    here, directory = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    directory.mkdir()
    words = [sys.executable, "-c", PROGRAM, str(directory), str(here), beside]
    found = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)
    said, leads, code, cwd, umask, modules = found
    ignored = int(said.pop(3).split()[1], 16)
    assert said == [str(directory), "0022", "4", "b"]
    assert not ignored & 1 << signal.SIGPIPE - 1
    assert (leads, code, umask) == (True, 0, 0o077)
    assert cwd == (None if beside == "gone" else str(here))
    assert modules == (beside == "thread")


def test_what_the_system_does_not_execute_is_told_and_the_way_back_found(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there/program").write_text("no program")
    program = (
        "import os\nfrom offload.commands.running.spawn import spawn\nn = os.open('/dev/null', os.O_RDWR)\n"
        "try: spawn(['./program'], './program', {}, (n, n, n), 'there')\n"
        "except PermissionError: print(os.path.isdir('there'))"
    )
    run = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, capture_output=True)
    assert run.stdout == b"True\n"
