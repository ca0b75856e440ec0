from __future__ import annotations

import json
import sys

from tests.cli.conftest import Inside


def test_a_python_that_is_the_same(inside: Inside) -> None:
    choice = ("--environment", f"check:{sys.executable}")
    done = inside("environment", "build", "here", *choice)
    assert (done.returncode, done.stdout.decode().strip()) == (0, sys.executable)
    report = json.loads(inside("environment", "build", "here", *choice, "--json").stdout)
    assert (report["target"], report["python"], report["differences"]) == ("here", sys.executable, [])
    done = inside("environment", "diff", "here", "--environment", sys.executable)
    assert (done.returncode, done.stdout) == (0, b"")
    assert b"nothing differs" in done.stderr


def test_a_python_that_lacks_something(inside: Inside) -> None:
    base = str(getattr(sys, "_base_executable", sys.executable))
    done = inside("environment", "diff", "here", "--environment", base)
    assert done.returncode == 1
    lines = done.stdout.decode().splitlines()
    assert any(line.startswith("offload ") and line.endswith(" here, not installed there") for line in lines)
    document = json.loads(inside("environment", "diff", "here", "--environment", base, "--json").stdout)
    assert document == {"target": "here", "python": base, "differences": lines}


def test_an_environment_that_was_not_made_yet(inside: Inside) -> None:
    done = inside("environment", "diff", "here", "--environment", "sync")
    assert done.returncode == 1
    assert b"no environment like the one here yet\n  offload environment build here" in done.stderr


def test_what_is_no_machine(inside: Inside) -> None:
    for target in ("login", "tls://10.0.0.5:8786", "ssh://a b"):
        done = inside("environment", "build", target)
        assert (done.returncode, done.stdout) == (2, b"")
        assert b"ssh://user@host" in done.stderr


def test_an_image_that_is_not_there(inside: Inside) -> None:
    done = inside("environment", "build", "here", "--environment", "container:localhost/absent")
    assert done.returncode == 1
    assert b"localhost/absent" in done.stderr or b"runs no containers" in done.stderr
    kept = inside("environment", "build", "here", "--environment", "container:x", "--directory", "/elsewhere")
    assert (kept.returncode, b"--directory" in kept.stderr) == (2, True)
