"""What the tests have runners call: it does harm to its process."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

COUNTS = {"calls": 0}


def mark(file: str) -> int:
    """Add a mark to a file; return how many there are."""
    with open(file, "ab") as marks:
        marks.write(b".")
        return marks.tell()


def plain(number: int) -> int:
    return number + 1


def dies(file: str, number: int, how: str) -> int:
    """Leave a mark; the third of five ends its process."""
    mark(f"{file}-{number}")
    if number == 2:
        end(how)
    return number


def end(how: str) -> None:
    print("these are", flush=True)
    os.write(2, b"last words\n")
    if how == "exit":
        os._exit(3)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "segv":
        ctypes.string_at(0)
    if how == "abort":
        os.abort()


def dies_once(file: str, number: int) -> int:
    """End the process when it runs for the first time."""
    if mark(file) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def holds(number: int) -> int:
    """Hold Python's lock for ever, for all numbers but 0."""
    if number:
        ctypes.PyDLL(None).sleep(1000)
    return number


def sleeps(file: str, seconds: float) -> int:
    mark(file)
    time.sleep(seconds)
    return os.getpid()


def grows(megabytes: int, in_child: bool) -> int:
    """Use memory, itself or in a child, and wait."""
    if in_child:
        code = f"import time; held = bytearray(b'x') * ({megabytes} << 20); time.sleep(1000)"
        return subprocess.run([sys.executable, "-c", code], check=True).returncode
    held = bytearray(b"x") * (megabytes << 20)
    time.sleep(1000 if megabytes > 100 else 0)
    return len(held) >> 20


def stops(file: str, number: int) -> int:
    """Stop the process when it runs for the first time."""
    if mark(file) == 1:
        os.kill(os.getpid(), signal.SIGSTOP)
    return number


def square(number: int) -> int:
    return number * number


def squares(how: str) -> list[int]:
    with multiprocessing.get_context(how).Pool(2) as pool:
        return pool.map(square, range(4))


def prints(text: str) -> int:
    print(text)
    print(text.upper(), file=sys.stderr)
    os.write(1, b"not by Python\n")
    return 1


def size(data: bytes) -> tuple[int, bytes]:
    return len(data), data[-3:]


def gives(count: int) -> bytes:
    return bytes(count)


def changes(directory: str) -> list[object]:
    """Change what a process has besides its modules; return what it was."""
    mask = os.umask(0o777)
    before: list[object] = [
        mask,
        os.getcwd(),
        "nowhere" in sys.path,
        os.environ.get("LEFT"),
        signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL,
    ]
    os.chdir(directory)
    sys.path.insert(0, "nowhere")
    os.environ["LEFT"] = "behind"
    signal.signal(signal.SIGUSR1, lambda *_: None)
    return before


def counts(number: int) -> int:
    """Change what it reaches."""
    COUNTS["calls"] += 1
    return COUNTS["calls"] + number


def where(number: int) -> tuple[int, bool]:
    """Return its process, and whether it runs in the main thread of that."""
    return os.getpid(), threading.current_thread() is threading.main_thread()


def works(seconds: float, megabytes: int) -> int:
    """Use processor time and memory."""
    held = bytearray(b"x") * (megabytes << 20)
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass
    return len(held)


def leaves(file: str) -> int:
    """Start a process that would outlive everything."""
    process = subprocess.Popen(["sleep", "1000"])
    process.returncode = 0
    Path(file).write_text(str(process.pid))
    return process.pid
