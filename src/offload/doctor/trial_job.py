"""A small job and who waits for it. Needs nothing but Python 3.7: this text is sent to machines without offload."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import tempfile
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

BEGIN, END = "@@offload begin@@", "@@offload end@@"
ADDRESS, ANSWER, OVER = "address.json", "answer.json", "over.json"
CONNECT_SECONDS, ATTEND_SECONDS, POLL = 10.0, 180.0, 0.2


def prepare(request: dict[str, Any]) -> dict[str, Any]:
    """Make a directory in the home, with the job's program."""
    folder = ""
    try:
        os.makedirs(request["home"], mode=0o700, exist_ok=True)
        folder = tempfile.mkdtemp(prefix="doctor-", dir=request["home"])
        with open(os.path.join(folder, "job.py"), "w", encoding="utf-8") as file:
            file.write(request["program"])
    except OSError as exc:
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
        return {"folder": "", "error": exc.strerror or str(exc)}
    return {"folder": folder, "error": ""}


def meet(request: dict[str, Any]) -> dict[str, Any]:
    """Listen where a head would, say so in the directory, and wait for what the job writes there."""
    folder = request["folder"]
    first, last = request["ports"] or (0, 0)
    host = request["host"] or _towards(request["node"])
    told = _towards(request["node"]) if host == "0.0.0.0" else host
    with socket.socket(socket.AF_INET) as server:
        for port in range(first, last + 1):
            try:
                server.bind((host, port))
                break
            except OSError:
                if port == last:
                    raise
        server.listen()
        address = server.getsockname()
        address = (told, address[1])
        _write(folder, ADDRESS, {"host": told, "port": address[1]})
        answer = _awaited(os.path.join(folder, ANSWER), request["seconds"], os.path.join(folder, OVER))
    log = os.path.join(folder, "log")
    said = ""
    if os.path.exists(log):
        with open(log, encoding="utf-8", errors="replace") as file:
            said = file.read()[-2000:]
    return {"address": f"{address[0]}:{address[1]}", "answer": answer, "log": said}


def over(request: dict[str, Any]) -> dict[str, Any]:
    """Say that the job has ended, so that nobody waits for it any more."""
    _write(request["folder"], OVER, {})
    return {}


def attend(folder: str) -> None:
    """Be the job: connect to who waits, and write what was found."""
    found = {
        "host": socket.gethostname(),
        "version": ".".join(map(str, sys.version_info[:3])),
        "reached": False,
        "error": "",
    }
    address = _awaited(os.path.join(folder, ADDRESS), ATTEND_SECONDS)
    if address is None:
        sys.exit("nobody waited for this job")
    try:
        socket.create_connection((address["host"], address["port"]), CONNECT_SECONDS).close()
        found["reached"] = True
    except OSError as exc:
        found["error"] = str(exc)
    _write(folder, ANSWER, found)


def clear(request: dict[str, Any]) -> dict[str, Any]:
    """Remove the directory."""
    shutil.rmtree(request["folder"], ignore_errors=True)
    return {}


def _towards(nodes: str) -> str:
    """Return the address of this machine from which a node is reached."""
    for node in (nodes, "192.0.2.1"):  # or, from which others are reached
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.connect((node, 9))  # sends nothing: the system only chooses a way
                return str(probe.getsockname()[0])
        except OSError:
            continue
    return socket.gethostbyname(socket.gethostname())


def _awaited(path: str, seconds: float, unless: str = "") -> Any:
    """Return what a file holds that another machine is to write; None where it does not come in time, or will not."""
    deadline = time.time() + seconds
    while time.time() < deadline and not (unless and os.path.exists(unless)):
        try:
            os.listdir(os.path.dirname(path))  # has a network file system look again
            with open(path, encoding="utf-8") as file:
                return json.load(file)
        except OSError:
            time.sleep(POLL)
    return None


def _write(folder: str, name: str, what: dict[str, Any]) -> None:
    path = os.path.join(folder, name)
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(what, file)
    os.replace(path + ".new", path)


def main() -> None:
    """Be the job of a directory, or answer one request, which stands in standard input."""
    if len(sys.argv) > 1 and os.path.isdir(sys.argv[1]):
        attend(sys.argv[1])
        return
    request = json.loads(sys.stdin.readline())
    answer = {"prepare": prepare, "meet": meet, "over": over, "clear": clear}[request["do"]](request)
    sys.stdout.write(f"\n{BEGIN}{json.dumps(answer)}{END}\n")
