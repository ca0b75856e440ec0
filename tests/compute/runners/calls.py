"""What the tests have runners call: it does harm to its process."""

from __future__ import annotations

import asyncio
import atexit
import builtins
import copyreg
import ctypes
import decimal
import gc
import importlib
import logging
import multiprocessing
import os
import random
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
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


def sets(number: int) -> dict[str, object]:
    """Change what Python and its libraries keep for the whole process; return what it was."""
    before: dict[str, object] = {
        "filters": [each[0] for each in warnings.filters],
        "collector": gc.isenabled(),
        "recursion": sys.getrecursionlimit(),
        "digits": sys.get_int_max_str_digits(),
        "timeout": socket.getdefaulttimeout(),
        "traced": sys.gettrace() is not None or sys.getprofile() is not None or threading.gettrace() is not None,
        "blocked": len(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "timer": signal.getitimer(signal.ITIMER_VIRTUAL)[0] > 0,
        "root": (logging.root.level, len(logging.root.handlers), logging.root.manager.disable),
        "logger": logging.getLogger("of.calls").level,
        "temporary": tempfile.tempdir == "/nowhere",
        "files": resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 64,
        "builtin": hasattr(builtins, "of_calls"),
        "reduced": complex in copyreg.dispatch_table and copyreg.dispatch_table[complex] is str,
        "methods": multiprocessing.get_start_method(allow_none=True),
        "loop": getattr(asyncio.events, "_event_loop_policy") is None,  # noqa: B009
        "written": os.write(1, b"there"),
        "thread": threading.current_thread().name,
        "drawn": random.random() == random.Random(5).random(),
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "c": subprocess.run(["printenv", "OF_CALLS"], capture_output=True, check=False).stdout,
        "contexts": decimal.DefaultContext.prec == 4 or decimal.BasicContext.traps[decimal.Inexact],
        "hooks": sys.excepthook is print or threading.excepthook is print or sys.unraisablehook is print,
    }
    os.nice(3)
    os.putenv("OF_CALLS", "1")
    decimal.DefaultContext.prec = 4
    decimal.BasicContext.traps[decimal.Inexact] = True
    sys.excepthook = threading.excepthook = sys.unraisablehook = print
    warnings.simplefilter("error")
    gc.disable()
    sys.setrecursionlimit(400)
    sys.set_int_max_str_digits(1000)
    socket.setdefaulttimeout(0.01)
    threading.settrace(lambda *_: None)
    sys.setprofile(lambda *_: None)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    signal.setitimer(signal.ITIMER_VIRTUAL, 1000)
    logging.basicConfig(level=5, force=True)
    logging.disable(7)
    logging.getLogger("of.calls").setLevel(3)
    tempfile.tempdir = "/nowhere"
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    setattr(builtins, "of_calls", number)  # noqa: B010
    copyreg.dispatch_table[complex] = str
    multiprocessing.set_start_method("spawn", force=True)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.close()
    os.close(1)
    threading.current_thread().name = "of calls"
    random.seed(5)
    return before


def goes_on(daemon: bool, seconds: float, marks: str) -> int:
    """Leave a thread that works on for a while, and return its process."""

    def work() -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(0.01)
        Path(marks).touch()

    threading.Thread(target=work, name="of calls", daemon=daemon).start()
    return os.getpid()


POOL = ThreadPoolExecutor(2)


def pooled(number: int) -> tuple[int, int]:
    """Keep idle threads for the next call."""
    return POOL.submit(abs, number).result(), os.getpid()


def is_nicer(number: int) -> tuple[int, int]:
    """Give way to others, for ever where only root may go back."""
    if number < 0:  # what root may do does not count from here on
        os.setuid(65534)
        number = -number
    os.nice(number)
    return os.getpid(), os.getpriority(os.PRIO_PROCESS, 0)


def draws(number: int) -> int:
    """Draw into the figure that there is, and leave it open."""
    plt = importlib.import_module("matplotlib.pyplot")

    plt.plot([number, 2])
    return len(plt.gca().lines)


def ends_later(file: str) -> int:
    """Leave something to be done at the end of the process."""
    atexit.register(Path(file).write_text, "done")
    return os.getpid()


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


STARTS = {
    "dropped": ["sh", "-c", "sleep 1000 & echo $!; wait"],
    "orphan": ["sh", "-c", "sleep 1000 & echo $!"],
    "session": ["sh", "-c", "setsid sleep 1000 & echo $!"],
}


def starts(how: str, held: bool, end: str) -> tuple[int, int]:
    """Start a process that goes on, perhaps hold what was started, and end; return both processes."""
    process = subprocess.Popen(STARTS[how], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    if how != "dropped":
        process.wait()
    if held:
        threading.Thread(target=process.wait, daemon=True).start()  # as a library would that uses it again
    Path(end.partition(" ")[2] or os.devnull).write_text(str(child))
    if end.startswith("raise"):
        raise ValueError(child)
    if end.startswith("kill"):
        os.kill(os.getpid(), signal.SIGKILL)
    if end.startswith("hang"):
        time.sleep(1000)
    return child, os.getpid()


def is_stubborn(how: str) -> int:
    """Do not end of its own accord."""
    if how == "signals":
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        time.sleep(1000)
    if how == "finally":
        try:
            raise ValueError
        finally:
            while True:
                pass
    if how == "in C":
        return int(bool(re.match("(a+)+$", "a" * 50 + "b")))
    code = "import time; held = bytearray(b'x') * (300 << 20); time.sleep(1000)"
    subprocess.run(["sh", "-c", f'"{sys.executable}" -c "{code}" > /dev/null 2>&1 &'], check=True)  # of no parent
    time.sleep(1000)
    return 0


def reads() -> str:
    return sys.stdin.read()


def is_fatal_once(number: int) -> int:
    if number == 500:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def closes(first: int, seconds: float) -> int:
    """Close descriptors that others have opened, and go on for a while."""
    os.closerange(first, 1000)
    time.sleep(seconds)
    return first


def forks(how: str) -> int:
    """Fork, and come back as the parent and as the child; return what the child has ended with."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if how == "raises":
        raise ValueError("of a child")
    if how == "exits":
        sys.exit(7)
    return -1
