"""Programs that only a cluster has, which lines before its workers (such as ``module load``) put on their PATH."""

from __future__ import annotations

import pytest

from tests.deploy.remote.conftest import wait_for
from tests.deploy.test_slurm import JOBS, Cluster
from tests.lab.slurm import Slurm

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

TOOL = """#!/bin/sh
echo "$TOOL_HOME tripled: $((3 * $1)) in $(basename $PWD)"
"""
LINES = "export PATH=$HOME/opt/bin:$PATH TOOL_HOME=/opt/tool-1"
WORDS = "run", "--on", "login", "--"


@pytest.fixture
def cluster(slurm: Slurm) -> Cluster:
    login = slurm.login
    login.exec("mkdir -p opt/bin", user="alice")
    login.write("/home/alice/opt/bin/mytool", TOOL, user="alice", mode=0o755)
    return Cluster(slurm)


def test_a_program_of_a_module(cluster: Cluster) -> None:
    lab = cluster.lab
    cluster.up(*JOBS, "--workers", "1", "--prologue", LINES)
    first = lab.offload(*WORDS, "mytool", "3", timeout=120)
    assert first.stdout.startswith("/opt/tool-1 tripled: 9 in "), first.stderr
    absolute = lab.offload(*WORDS, "/home/alice/opt/bin/mytool", "4", timeout=120)
    assert "tripled: 12" in absolute.stdout, absolute.stderr
    shell = lab.offload("run", "--on", "login", "--there", "--", "sh", "-c", "mytool 5 | sed s/tripled/T/", timeout=120)
    assert "T: 15" in shell.stdout, shell.stderr
    without = lab.offload(*WORDS, "sh", "-c", "mytool 6", timeout=120)
    assert without.returncode in (126, 127) and "those of the workers: offload run --there" in without.stderr
    many = lab.offload(*WORDS, "mytool", ":::", "1", "2", timeout=120)
    assert [line.split()[2] for line in many.stdout.splitlines()] == ["3", "6"], many.stderr
    nowhere = lab.offload(*WORDS, "mytol", "3", timeout=120)
    assert nowhere.returncode == 127
    assert "command not found: mytol, on the workers of login or here" in nowhere.stderr
    again = lab.offload(*WORDS, "mytool", "3")
    assert "recalled" in again.stderr and again.stdout == first.stdout
    assert "looked for" not in again.stderr and "--fresh" not in again.stderr  # nothing is to be told
    cluster.down()
    cluster.up(*JOBS, "--workers", "1", "--prologue", LINES.replace("tool-1", "tool-2"))  # another module
    other = lab.offload(*WORDS, "mytool", "3", timeout=120)
    assert other.stdout.startswith("/opt/tool-2 tripled: 9"), other.stderr
    assert "recalled" not in other.stderr
    cluster.down()


def test_a_program_that_is_replaced(cluster: Cluster) -> None:
    """On the node alone, in what it runs, and while no worker is there: never is anything stale recalled."""
    lab, (node, other) = cluster.lab, cluster.slurm.nodes[:2]
    for host in (node, other):
        host.exec("mkdir -p /opt/tool/bin && chmod 755 /opt/tool /opt/tool/bin")
        host.write("/opt/tool/bin/ours", "#!/bin/sh\necho one $1\n", mode=0o755)
        host.write("/opt/tool/bin/inner", "#!/bin/sh\necho inner one\n", mode=0o755)
    cluster.up(*JOBS, "--workers", "1", "--prologue", "export PATH=/opt/tool/bin:$PATH")

    def run(*words: str) -> tuple[str, bool]:
        done = lab.offload(*WORDS[:-1], *words, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout, "recalled" in done.stderr

    text = "--there", "--", "sh", "-c", "inner"
    many = "--", "ours", ":::", "1", "2", "3"
    assert run("--", "ours", "5") == ("one 5\n", False)
    assert run(*text) == ("inner one\n", False)
    assert run("--", "ours", "5") == ("one 5\n", True)
    assert run(*text) == ("inner one\n", True)
    assert run(*many)[0] == "one 1\none 2\none 3\n"
    for host in (node, other):
        host.write("/opt/tool/bin/ours", "#!/bin/sh\necho two $1\n", mode=0o755)
        host.write("/opt/tool/bin/inner", "#!/bin/sh\necho inner two\n", mode=0o755)
    assert run("--", "ours", "5") == ("two 5\n", False)
    assert run(*text) == ("inner two\n", False)
    assert run("--", "ours", "5") == ("two 5\n", True)
    assert run(*many)[0] == "two 1\ntwo 2\ntwo 3\n"
    # As it was, it is recalled as it was.
    for host in (node, other):
        host.write("/opt/tool/bin/ours", "#!/bin/sh\necho one $1\n", mode=0o755)
    assert run("--", "ours", "5") == ("one 5\n", True)
    # Nobody can be asked: what was known last counts, and that is told.
    assert lab.offload("scale", "login", "0").returncode == 0
    wait_for(lambda: cluster.workers() == [], "the end of all workers", 90)
    told = lab.offload(*WORDS, "ours", "5", timeout=120)
    assert told.stdout == "one 5\n" and "recalled" in told.stderr
    assert "login has no workers that could tell which ours is there: it counts as it was at" in told.stderr
    # With workers to come, one of these knows.
    for host in (node, other):
        host.write("/opt/tool/bin/ours", "#!/bin/sh\necho three $1\n", mode=0o755)
    assert lab.offload("scale", "login", "1").returncode == 0
    assert run("--", "ours", "5") == ("three 5\n", False)
    assert run("--", "ours", "5") == ("three 5\n", True)
    cluster.down()


def test_nodes_with_different_programs(cluster: Cluster) -> None:
    """A result of either is recalled, and that is told; each is recorded as what has made it."""
    lab, nodes = cluster.lab, cluster.slurm.nodes[:2]
    for host in nodes:
        host.write("/usr/local/bin/ours", f"#!/bin/sh\necho {host.name} $1\n", mode=0o755)
    cluster.up(*JOBS, "--cores", "4", "--workers", "2", "--prologue", "export PATH=/usr/local/bin:$PATH")  # one on each
    cluster.wait_for_workers(2)
    first = lab.offload(*WORDS, "ours", "5", timeout=120)
    assert first.stdout in [f"{host.name} 5\n" for host in nodes], first.stderr
    assert "ours is not the same on all workers of login, and counts as either: " in first.stderr
    again = lab.offload(*WORDS, "ours", "5", timeout=120)
    assert again.stdout == first.stdout and "recalled" in again.stderr
    made_by = next(host for host in nodes if first.stdout.startswith(host.name))
    made_by.write("/usr/local/bin/ours", "#!/bin/sh\necho replaced $1\n", mode=0o755)
    fresh = lab.offload(*WORDS, "ours", "5", timeout=120)
    assert fresh.stdout != first.stdout and "recalled (" not in fresh.stderr
    cluster.down()
