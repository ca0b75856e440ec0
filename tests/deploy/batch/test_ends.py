"""How jobs ended, by what batch systems say that are not here to be asked; the contract has what is common."""

from __future__ import annotations

import json
from typing import Any

import pytest

from offload.batch import End, JobRequest, JobState, Phase, batch_system, system_names
from offload.hosts.base import Done


def asked(system: str, job: str, text: str) -> JobState:
    """What a batch system's state of a job is when all of its commands say this."""
    made: Any = batch_system(system)
    made.run = lambda words, data="", fine=None: Done(tuple(words), 0, text.encode(), b"")
    state: JobState = made.query([job])[job]
    return state


PBS = """\
Job Id: 7.head
    Job_Name = offload-x
    job_state = {state}
    exec_host = n1/0*4+n2/0*4
    resources_used.walltime = {used}
    Resource_List.walltime = 00:10:00
    stime = Sat Nov 28 09:00:00 2026
    comment = Job run at Sat Nov 28 at 09:00 on (n1:ncpus=4)+(n2:ncpus=4) and fa
\tiled
    run_count = 2
    {key} = {status}
"""


@pytest.mark.parametrize("system", ["pbs", "torque"])
@pytest.mark.parametrize(
    ("used", "status", "end", "code"),
    [
        ("00:00:10", 0, End.COMPLETED, 0),
        ("00:00:10", 3, End.FAILED, 3),
        ("00:00:10", 271, End.CANCELLED, -15),
        ("00:10:03", 271, End.TIMEOUT, None),
        ("00:00:10", 267, End.FAILED, -11),
        ("00:10:03", -29, End.TIMEOUT, None),
        ("00:00:10", -1, End.FAILED, None),
    ],
)
def test_pbs(system: str, used: str, status: int, end: End, code: int | None) -> None:
    torque = system == "torque"
    key, word = ("exit_status", "C") if torque else ("Exit_status", "F")
    state = asked(system, "7", PBS.format(state=word, used=used, key=key, status=status))
    assert (state.phase, state.end, state.exit_code) == (Phase.ENDED, end, code)
    assert (state.nodes, state.restarts) == ("n1+n2", 1)
    assert state.reason.endswith("and failed")


@pytest.mark.parametrize(
    ("code", "end", "number"),
    [
        ("0", End.COMPLETED, 0),
        ("2", End.FAILED, 2),
        ("271", None, -15),
        ("CNCLD", End.CANCELLED, None),
        ("CNCLD(271)", End.CANCELLED, None),
    ],
)
def test_moab(code: str, end: End | None, number: int | None) -> None:
    text = f"""<Data><Object>queue</Object><queue count="1" option="completed"><job CompletionCode="{code}"
        CompletionTime="2000" JobID="Moab.7" JobName="x" MasterHost="n1" StartTime="1000" State="Completed"></job>
        </queue></Data>"""
    state = asked("moab", "Moab.7", text)
    assert (state.end, state.exit_code, state.start, state.finish) == (end, number, 1000, 2000)


@pytest.mark.parametrize(
    ("reason", "end"),
    [
        ("TERM_RUNLIMIT: job killed after reaching LSF run time limit", End.TIMEOUT),
        ("TERM_PREEMPT: job killed after preemption", End.PREEMPTED),
        ("TERM_MEMLIMIT: job killed after reaching LSF memory usage limit", End.OUT_OF_MEMORY),
        ("TERM_OWNER: job killed by owner", End.CANCELLED),
        ("", End.FAILED),
    ],
)
def test_lsf(reason: str, end: End) -> None:
    record = {"JOBID": "7", "JOB_NAME": "x", "STAT": "EXIT", "EXIT_CODE": "140", "EXIT_REASON": reason}
    hosts = {"EXEC_HOST": "4*n1:2*n2", "RUN_TIME": "600 second(s)", "TIME_LEFT": "", "PEND_REASON": ""}
    state = asked("lsf", "7", json.dumps({"COMMAND": "bjobs", "JOBS": 1, "RECORDS": [record | hosts]}))
    assert (state.phase, state.end, state.nodes) == (Phase.ENDED, end, "n1 n2")
    assert state.exit_code == (140 if end is End.FAILED else None)


@pytest.mark.parametrize(
    ("kind", "status", "end", "code"),
    [
        ("WALLTIME", 15, End.TIMEOUT, None),
        ("FRAG_JOB_REQUEST", None, End.CANCELLED, None),
        ("SWITCH_INTO_TERMINATE_STATE", 3 << 8, End.FAILED, 3),
        ("SWITCH_INTO_TERMINATE_STATE", 9, End.FAILED, -9),
        ("SWITCH_INTO_TERMINATE_STATE", 0, End.COMPLETED, 0),
    ],
)
def test_oar(kind: str, status: int | None, end: End, code: int | None) -> None:
    job = {"state": "Terminated", "exit_code": status, "events": [{"type": kind}], "startTime": 1000, "stopTime": 2000}
    state = asked("oar", "7", json.dumps({"7": job | {"name": None, "assigned_network_address": ["n1", "n2"]}}))
    assert (state.end, state.exit_code, state.nodes, state.finish) == (end, code, "n1 n2", 2000)


PERIODIC = "The job attribute PeriodicRemove expression '(JobStatus == 2 && ...)' evaluated to TRUE"


@pytest.mark.parametrize(
    ("ad", "end", "code"),
    [
        ({"JobStatus": 4, "ExitBySignal": True, "ExitSignal": 9}, End.FAILED, -9),
        ({"JobStatus": 3, "RemoveReason": "via condor_rm (by user me)", "LastJobStatus": 2}, End.CANCELLED, None),
        (
            {
                "JobStatus": 3,
                "RemoveReason": PERIODIC,
                "LastJobStatus": 2,
            },
            End.TIMEOUT,
            None,
        ),
        (
            {
                "JobStatus": 3,
                "RemoveReason": PERIODIC,
                "LastJobStatus": 1,
            },
            End.PREEMPTED,
            None,
        ),
    ],
)
def test_htcondor(ad: dict[str, Any], end: End, code: int | None) -> None:
    state = asked("htcondor", "7.0", json.dumps([{"ClusterId": 7, "ProcId": 0, "NumJobStarts": 2} | ad]))
    assert (state.phase, state.end, state.exit_code, state.restarts) == (Phase.ENDED, end, code, 1)


def test_a_job_of_htcondor_that_is_held_waits() -> None:
    ad = {"ClusterId": 7, "ProcId": 0, "JobStatus": 5, "HoldReason": "Error from slot1@n1: out of disk"}
    state = asked("htcondor", "7.0", json.dumps([ad]))
    assert (state.phase, state.word, state.reason) == (Phase.PENDING, "Held", "Error from slot1@n1: out of disk")


DIRECTIVES = {
    "sge": ["-pe smp 4", "-l h_rt=01:30:00", "-P lab", "-q main", "-l ib", "-l gpu=2", "-l exclusive=true", "-r n"],
    "pbs": ["-l select=1:ncpus=4:mem=51499mb:ngpus=2:ib", "-l walltime=01:30:00", "-A lab", "-l place=excl", "-r n"],
    "torque": ["-l nodes=1:ppn=4:gpus=2:ib,mem=51499mb", "-l walltime=01:30:00", "-A lab", "-r n"],
    "moab": ["-l nodes=1:ppn=4:gpus=2:ib,mem=51499mb", "-l qos=high", "-l naccesspolicy=singlejob", "-r n"],
    "lsf": ["-n 4", "-M 54000000", "-W 1:30", '-P "lab"', '-R "select[ib]"', '-gpu "num=2"', "-x", "-rn"],
    "oar": ["-l /nodes=1,walltime=01:30:00", "--project lab", "-p ib", "-O /logs/a.log"],
    "htcondor": ["RequestCpus = MY.DaskWorkerCores", "MY.DaskWorkerMemory = 54000000000", "request_GPUs = 2"],
}


@pytest.mark.parametrize("system", DIRECTIVES)
def test_everything_that_is_asked_for_stands_in_the_script(system: str) -> None:
    made = batch_system(system)
    values: dict[str, Any] = {
        "cores": 4,
        "memory": 54 * 10**9,
        "walltime": 5400,
        "log": "/logs/a.log",
        "queue": "main",
        "account": "lab",
        "qos": "high",
        "constraint": "ib",
        "gpus": "2",
        "exclusive": True,
        "requeue": False,
    }
    request = JobRequest(
        "offload-x", ("true",), **{key: value for key, value in values.items() if key not in made.lacks}
    )
    marks = {"sge": "#$ ", "lsf": "#BSUB ", "oar": "#OAR ", "htcondor": ""}
    lines = made.script(request).splitlines()
    missing = [line for line in DIRECTIVES[system] if marks.get(system, "#PBS ") + line not in lines]
    assert not missing, "\n".join(lines)
    bare = made.script(JobRequest("offload-x", ("true",)))
    assert not [word for word in ("mem=", "-M ", "Memory", "gpu", "GPU") if word in bare]


def test_every_system_has_its_part_in_these_tests() -> None:
    assert set(DIRECTIVES) | {"slurm"} == set(system_names())
