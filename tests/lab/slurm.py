"""A real Slurm cluster on the hosts of a lab: the controller on ``login``, a node on every host behind it.

The homes are one file system there, as on any cluster. The fixture `slurm` gives each test a cluster without a past.
"""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lab import machine
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.lab.machine import LabError, NotHere
from tests.requirements import requires

PACKAGES = {"munged": "munge", "slurmctld": "slurmctld", "slurmd": "slurmd", "srun": "slurm-client"}

# Every wait of Slurm's is as short as it may be; a job is scheduled when it is submitted, not half a minute later.
CONFIGURATION = """\
ClusterName=lab
SlurmctldHost=login({login})
SlurmUser=root
AuthType=auth/munge
StateSaveLocation=/var/spool/slurmctld
SlurmdSpoolDir=/var/spool/slurmd
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
SlurmctldLogFile=/var/log/slurmctld.log
SlurmdLogFile=/var/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmdParameters=config_overrides
ReturnToService=2
SlurmdTimeout=15
SlurmctldTimeout=15
KillWait=5
MessageTimeout=5
PropagateResourceLimits=NONE
DefMemPerCPU=500
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=off
PartitionName=short Nodes=ALL MaxTime=5 State=UP PriorityTier=10 PreemptMode=off
PartitionName=spot Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=requeue GraceTime=5
PartitionName=urgent Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=100 PreemptMode=off
PartitionName=closed Nodes=ALL MaxTime=INFINITE State=DOWN
"""
# slurmd insists on a kind of control groups, though none is used.
INSTALL = """
set -eu
id munge > /dev/null 2>&1 || useradd --system munge
mkdir -p /etc/munge /etc/slurm /var/log/munge /var/lib/munge /var/spool/slurmd /var/spool/slurmctld
base64 -d > /etc/munge/munge.key
echo CgroupPlugin=cgroup/v1 > /etc/slurm/cgroup.conf
echo '/shared/home /home none bind 0 0' > /etc/fstab
mount -a
chown -R munge: /etc/munge /var/log/munge /var/lib/munge
chmod 600 /etc/munge/munge.key
"""
START = """
set -eu
mkdir -p /run/munge
chown munge: /run/munge
setpriv --reuid munge --regid munge --clear-groups munged --force > /dev/null 2>&1
exec {daemon}
"""


class Slurm:
    """The cluster; commands of users run on the login host, by ssh or by `run`."""

    def __init__(self, lab: Lab, cpus: int, memory: int) -> None:
        self.lab, self.login = lab, lab.host("login")
        self.nodes = [host for host in lab.hosts.values() if host.place.behind]
        lines = [
            f"NodeName={n.name} NodeAddr={n.address} CPUs={cpus} RealMemory={memory} State=UNKNOWN" for n in self.nodes
        ]
        address = self.login.place.nics[1].address
        self._configuration = CONFIGURATION.format(login=address, nodes="\n".join(lines))
        self._key = base64.b64encode(os.urandom(128)).decode()

    @classmethod
    def up(cls, lab: Lab, *, cpus: int = 4, memory: int = 8000) -> Slurm:
        """Start a cluster on hosts that nobody touched; `Lab.reset` ends it."""
        new = machine.install(PACKAGES)
        slurm = cls(lab, cpus, memory)
        members = [slurm.login, *slurm.nodes]
        if new:
            for host in members:
                host.reinstall()  # an overlay does not promise to notice what is installed below it
        slurm.login.exec("cp -a /home /shared/home")
        with ThreadPoolExecutor(max_workers=8) as pool:
            list(pool.map(slurm._install, members))
        slurm.wait_for_nodes()
        return slurm

    def _install(self, host: Host) -> None:
        host.exec(INSTALL, input=self._key)
        host.write("/etc/slurm/slurm.conf", self._configuration)
        self._start(host)

    def _start(self, host: Host) -> None:
        host.exec(START.format(daemon="slurmctld" if host is self.login else "slurmd"))

    def run(self, command: str, *, user: str = "alice", timeout: float = 30.0, check: bool = True) -> str:
        """Run a command on the login host; what it printed, stripped."""
        return self.login.exec(command, user=user, timeout=timeout, check=check).stdout.strip()

    # -- jobs

    def submit(self, script: str, *options: str, user: str = "alice") -> int:
        """Submit the lines of a shell script with these options of ``sbatch``; the number of the job."""
        words = ["sbatch", "--parsable", *options]
        done = self.login.exec(words, user=user, input=f"#!/bin/bash\n{script}\n")
        return int(done.stdout.strip())

    def state(self, job: int) -> str:
        """State of a job in Slurm's words (``RUNNING``); empty: it is forgotten."""
        return self.run(f"squeue -h -t all -j {job} -o %T 2>/dev/null || true")

    def reason(self, job: int) -> str:
        """Why the job waits, in Slurm's words (``PartitionDown``)."""
        return self.run(f"squeue -h -t all -j {job} -o %r")

    def node_of(self, job: int) -> str:
        """Where the job runs."""
        return self.run(f"squeue -h -t all -j {job} -o %N")

    def jobs(self, user: str = "alice") -> list[int]:
        """Numbers of the user's jobs that wait or run."""
        return [int(word) for word in self.run(f"squeue -h -u {user} -o %A").split()]

    def wait_for_state(self, job: int, *states: str, within: float = 60.0) -> str:
        """Wait until the job is in one of these states."""
        return self._wait(lambda: self.state(job), states, within, f"job {job}")

    def wait_for_reason(self, job: int, reason: str, within: float = 60.0) -> None:
        """Wait until the scheduler has looked at the job and gives this reason for not starting it."""
        self._wait(lambda: self.reason(job), (reason,), within, f"job {job}")

    # -- failures

    def stop_controller(self) -> None:
        """Stop ``slurmctld``: jobs run on, nobody can submit or ask."""
        self.login.exec("kill $(cat /run/slurmctld.pid); while pidof slurmctld > /dev/null; do sleep 0.05; done")

    def start_controller(self) -> None:
        """Start ``slurmctld`` again; it knows the jobs it had."""
        self.login.exec("slurmctld")
        self._wait(lambda: self.run("sinfo -h -p main -o up 2>/dev/null || true")[:2], ("up",), 30.0, "slurmctld")

    def boot(self, host: Host) -> None:
        """Switch a host on that had crashed (`Host.crash`), with its part of the cluster.

        A node that boots faster than Slurm misses it would keep its jobs for ever: the time of the last boot comes from
        the kernel, of which there is only one here. So Slurm is told, and takes the node back when it reports.
        """
        host.boot()
        if host is not self.login:
            self.login.exec(f"scontrol update NodeName={host.name} State=DOWN Reason=crashed")
        self._start(host)

    def node_state(self, name: str) -> str:
        """State of a node in Slurm's words (``idle``, ``down*``)."""
        return self.run(f"sinfo -h -p main -n {name} -o %t")

    def wait_for_nodes(self, within: float = 30.0) -> None:
        """Wait until all nodes can run jobs."""
        wanted, ask = str(len(self.nodes)), "sinfo -h -p main -t idle,mix,alloc -o %D 2>/dev/null || true"
        self._wait(lambda: self.run(ask), (wanted,), within, "the number of nodes")

    def _wait(self, ask: Callable[[], str], wanted: tuple[str, ...], within: float, what: str) -> str:
        deadline = time.monotonic() + within
        while (answer := ask()) not in wanted:
            if time.monotonic() > deadline:
                raise LabError(f"{what}: {answer!r} after {within:.0f} s, not {' or '.join(wanted)}\n{self._logs()}")
            time.sleep(0.1)
        return answer

    def _logs(self) -> str:
        return self.login.exec("tail -n 20 /var/log/slurmctld.log; squeue; sinfo", check=False).stdout


@pytest.fixture
def slurm(lab: Lab) -> Slurm:
    """A new cluster with two nodes of four processors (as Slurm counts), for this test."""
    try:
        return Slurm.up(lab)
    except NotHere as error:
        requires(False, str(error))
        raise
