"""Claims: locks beside a database, which end with the process that has them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from offload.storage.claims import Claims, claims_at

ONE, TWO = "1" * 64, "2" * 64

HOLDER = """
import sys
from offload.storage.claims import claims_at
claims = claims_at(sys.argv[1])
print(claims.take(sys.argv[2]), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "claims")


def holder(path: str, transformation: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, path, transformation], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    return process


def test_one_process_has_it(path: str) -> None:
    claims = claims_at(path)
    with holder(path, ONE) as process:
        assert not claims.take(ONE)
        assert claims.holder(ONE) == process.pid
        assert claims.take(TWO)
        assert claims.holder(TWO) == os.getpid()
        process.kill()
    assert claims.holder(ONE) is None
    assert claims.take(ONE)


def test_one_thread_has_it(path: str) -> None:
    claims = claims_at(path)
    assert claims is claims_at(path)
    assert claims.take(ONE)
    assert not claims.take(ONE)
    claims.release(ONE)
    assert claims.take(ONE)


def test_a_child_has_no_claim_of_its_parent_and_takes_none_away(path: str) -> None:
    claims = claims_at(path)
    assert claims.take(ONE)
    child = os.fork()
    if not child:
        fine = not claims.take(ONE) and claims.holder(ONE) == os.getppid() and claims.take(TWO)
        os._exit(0 if fine else 1)
    assert os.waitpid(child, 0)[1] == 0
    other = subprocess.run(
        [sys.executable, "-c", HOLDER, path, ONE], input="", capture_output=True, text=True, check=True
    )
    assert other.stdout == "False\n"  # it is still the parent's
    assert claims.take(TWO)


def test_where_no_file_can_be_made_everybody_computes(tmp_path: Path) -> None:
    claims = Claims(str(tmp_path / "missing" / "claims"))
    assert claims.take(ONE)
    assert not claims.take(ONE)
    assert claims.holder(TWO) is None
    claims.release(ONE)
    assert claims.take(ONE)


def test_the_file_is_for_its_owner_only(path: str) -> None:
    mask = os.umask(0)
    try:
        claims_at(path).take(ONE)
    finally:
        os.umask(mask)
    assert os.stat(path).st_mode & 0o777 == 0o600


def test_a_stopped_holder_is_still_the_holder(path: str) -> None:
    with holder(path, ONE) as process:
        process.send_signal(signal.SIGSTOP)
        assert claims_at(path).holder(ONE) == process.pid
        process.kill()
