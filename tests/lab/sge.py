"""A real Grid Engine cluster on the hosts of a lab: the master on ``login``, four slots on every host behind it.

The homes are one file system there. The fixture `sge` gives each test a cluster without a past.
"""

from __future__ import annotations

import shlex
import time

import pytest

from tests.lab import machine
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.lab.machine import LabError, NotHere
from tests.requirements import requires

PACKAGES = {"sge_qmaster": "gridengine-master", "sge_execd": "gridengine-exec", "qsub": "gridengine-client"}
INSTALL = """
set -eu
id sgeadmin > /dev/null 2>&1 || useradd --system sgeadmin
echo '/shared/home /home none bind 0 0' > /etc/fstab
mount -a
cell=/var/lib/gridengine/default/common
mkdir -p $cell /var/spool/gridengine/qmaster/job_scripts /var/spool/gridengine/spooldb /var/spool/gridengine/execd
[ -e $cell/bootstrap ] || cp /usr/share/gridengine/default-bootstrap $cell/bootstrap
echo login > $cell/act_qmaster
chown -R sgeadmin: /var/spool/gridengine /var/lib/gridengine
"""
MASTER = """
set -eu
cd /
export SGE_ROOT=/var/lib/gridengine SGE_CELL=default
setpriv --reuid sgeadmin --regid sgeadmin --clear-groups \
    /usr/share/gridengine/scripts/init_cluster $SGE_ROOT $SGE_CELL /var/spool/gridengine/spooldb sgeadmin > /dev/null
sge_qmaster > /dev/null
for attempt in $(seq 100); do timeout 5 qconf -sh > /dev/null 2>&1 && break; sleep 0.1; done
qconf -as login
files=$(mktemp -d)
for node in $NODES; do
    printf '%s NONE\\n' load_scaling complex_values user_lists xuser_lists projects xprojects usage_scaling \
        report_variables | sed "1i hostname $node" > $files/node
    qconf -ah $node
    qconf -Ae $files/node
done
printf 'group_name @allhosts\\nhostlist %s\\n' "$NODES" > $files/group
qconf -Ahgrp $files/group
printf '%s\\n' 'pe_name smp' 'slots 999' 'user_lists NONE' 'xuser_lists NONE' 'start_proc_args /bin/true' \
    'stop_proc_args /bin/true' 'allocation_rule $pe_slots' 'control_slaves FALSE' 'job_is_first_task TRUE' \
    'urgency_slots min' 'accounting_summary FALSE' 'qsort_args NONE' > $files/pe
qconf -Ap $files/pe
qconf -sq | sed -e 's/^qname .*/qname main.q/' -e 's/^hostlist .*/hostlist @allhosts/' -e "s/^slots .*/slots $SLOTS/" \
    -e 's/^shell .*/shell \\/bin\\/bash/' -e 's/^pe_list .*/pe_list smp/' \
    -e 's/^load_thresholds .*/load_thresholds NONE/' -e 's/^rerun .*/rerun TRUE/' > $files/queue
qconf -Aq $files/queue
# Look at a job when it comes, not every fifteen seconds; jobs of root are allowed.
qconf -ssconf | sed -e 's/^flush_submit_sec .*/flush_submit_sec 1/' -e 's/^flush_finish_sec .*/flush_finish_sec 1/' \
    -e 's/^schedule_interval .*/schedule_interval 0:0:1/' > $files/scheduler
qconf -Msconf $files/scheduler
qconf -sconf global | sed -e 's/^min_uid .*/min_uid 0/' -e 's/^min_gid .*/min_gid 0/' > $files/global
qconf -Mconf $files/global
rm -r $files
"""


class Sge:
    """The cluster; commands of users run on the login host, by ssh or by `run`."""

    def __init__(self, lab: Lab) -> None:
        self.lab, self.login = lab, lab.host("login")
        self.nodes = [host for host in lab.hosts.values() if host.place.behind]

    @classmethod
    def up(cls, lab: Lab, *, slots: int = 4) -> Sge:
        """Start a cluster on hosts that nobody touched; `Lab.reset` ends it."""
        new = machine.install(PACKAGES)
        sge = cls(lab)
        members = [sge.login, *sge.nodes]
        for host in members if new else []:
            host.reinstall()  # an overlay does not promise to notice what is installed below it
        sge.login.exec("cp -a /home /shared/home")
        for host in members:
            host.exec(INSTALL)
        names = " ".join(host.name for host in sge.nodes)
        sge.login.exec(MASTER, env={"NODES": names, "SLOTS": str(slots)})
        for host in sge.nodes:
            sge._start(host)
        sge.wait_for_nodes()
        return sge

    def _start(self, host: Host) -> None:
        host.exec("cd / && sge_execd > /dev/null")

    def run(self, command: str, *, user: str = "alice", timeout: float = 30.0, check: bool = True) -> str:
        """Run a command on the login host; what it printed, stripped."""
        return self.login.exec(command, user=user, timeout=timeout, check=check).stdout.strip()

    def submit(self, script: str, *options: str, user: str = "alice") -> int:
        """Submit the lines of a shell script with these options of ``qsub``; the number of the job."""
        words = ["qsub", "-terse", "-cwd", *options]
        return int(self.login.exec(words, user=user, input=f"#!/bin/bash\n{script}\n").stdout.strip())

    def state(self, job: int) -> str:
        """State of a job in Grid Engine's letters (``qw``, ``r``); empty: it is over."""
        return self.run(f"qstat -u '*' | awk '$1 == {job} {{ print $5 }}'")

    def wait_for_state(self, job: int, *states: str, within: float = 60.0) -> str:
        """Wait until the job is in one of these states."""
        deadline = time.monotonic() + within
        while (state := self.state(job)) not in states:
            if time.monotonic() > deadline:
                raise LabError(f"job {job}: {state!r}, not {shlex.join(states)}\n{self.run('qstat -f')}")
            time.sleep(0.1)
        return state

    def wait_for_nodes(self, within: float = 60.0) -> None:
        """Wait until all nodes report."""
        deadline = time.monotonic() + within
        while int(self.run("qstat -f | awk '/^main.q@/ && $4 != \"-NA-\" && NF == 5' | wc -l")) < len(self.nodes):
            if time.monotonic() > deadline:
                raise LabError(f"not all nodes report:\n{self.run('qhost; qstat -f')}")
            time.sleep(0.1)

    def boot(self, host: Host) -> None:
        """Switch a node on that had crashed (`Host.crash`), with its part of the cluster."""
        host.boot()
        self._start(host)


@pytest.fixture
def sge(lab: Lab) -> Sge:
    """A new cluster with two nodes of four slots, queue ``main.q``, parallel environment ``smp``, for this test."""
    try:
        return Sge.up(lab)
    except NotHere as error:
        requires(False, str(error))
        raise
