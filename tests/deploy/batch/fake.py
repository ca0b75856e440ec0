"""Commands of batch systems that cannot be installed here: small stand-ins that run jobs on this machine.

Run as ``python fake.py SYSTEM COMMAND DIRECTORY ARGUMENT...``. What they print is written after the documentation of
each system, in the form that its backend asks for; what a backend makes of the real one's output they cannot tell.
"""

from __future__ import annotations

import fcntl
import html
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from typing import Any

Job = dict[str, Any]

AWAY = {
    "pbs": "Connection refused\n{}: cannot connect to server head (errno=15010)",
    "torque": "Cannot connect to default server host 'head' - check pbs_server daemon.\n{}: cannot connect to server",
    "moab": "ERROR:    cannot connect to server 'head' on port 42559",
    "lsf": "LSF is down. Please wait ...",
    "oar": "DB connection error, exiting.",
    "htcondor": "-- Failed to fetch ads from: <10.0.0.1:9618> : head\nCEDAR:6001:Failed to connect to <10.0.0.1:9618>",
}
REFUSED = {
    "pbs": "qsub: Unknown queue nope",
    "torque": "qsub: submit error (Unknown queue MSG=cannot locate queue nope)",
    "moab": "ERROR:    cannot submit job - class 'nope' does not exist",
    "lsf": "nope: No such queue. Job not submitted.",
    "oar": "[ERROR] The queue nope does not exist",
    "htcondor": "ERROR: Parse error in expression:\n\tRequirements = nope(",
}
REASON = {
    "pbs": "Not Running: Queue not started.",
    "torque": "Not Running: Queue not started.",
    "moab": "class closed is not active",
    "lsf": "The queue is inactivated by its administrator;",
    "oar": "no node with these properties",
    "htcondor": "no match found",
}


def main(system: str, command: str, directory: str, words: list[str]) -> None:
    if os.path.exists(f"{directory}/away"):
        leave(AWAY[system].format(command))
    with open(f"{directory}/lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        jobs: list[Job] = json.loads(text_of(f"{directory}/jobs") or "[]")
        for job in jobs:
            refresh(job, directory)
        try:
            if command in ("qsub", "msub", "bsub", "oarsub", "condor_submit"):
                submit(system, directory, words, jobs)
            elif command in ("qdel", "canceljob", "bkill", "oardel", "condor_rm"):
                cancel(system, words, jobs)
            else:
                print(SHOW[system](command, words, jobs))
        finally:
            with open(f"{directory}/jobs", "w") as file:
                json.dump(jobs, file)


def text_of(path: str) -> str:
    """What a file holds; nothing where it is not there."""
    if not os.path.exists(path):
        return ""
    with open(path) as file:
        return file.read()


def leave(text: str, code: int = 1) -> None:
    sys.stderr.write(text + "\n")
    sys.exit(code)


def refresh(job: Job, directory: str) -> None:
    """See whether a job has ended."""
    code = text_of(f"{directory}/{job['id']}.code")
    if job["state"] == "running" and code:
        job |= {"state": "ended", "code": int(code), "finish": int(time.time())}


def submit(system: str, directory: str, words: list[str], jobs: list[Job]) -> None:
    options, body = asked(system, words)
    if options["queue"].startswith("nope"):
        leave(REFUSED[system])
    job: Job = {"id": len(jobs) + 1, "name": options["name"], "state": "pending", "start": int(time.time())}
    if options["queue"] != "closed":
        with open(f"{directory}/{job['id']}.sh", "w") as file:
            file.write(body)
        stem = f"{directory}/{job['id']}"
        run = f"bash {stem}.sh; echo $? > {stem}.new; mv {stem}.new {stem}.code"
        with open(options["log"] or os.devnull, "w") as log:
            process = subprocess.Popen(
                ["sh", "-c", run], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        job |= {"state": "running", "pid": process.pid}
    jobs.append(job)
    print(
        {
            "pbs": f"{job['id']}.head",
            "torque": f"{job['id']}.head.example.org",
            "moab": f"\nMoab.{job['id']}",
            "lsf": f"Job <{job['id']}> is submitted to default queue <normal>.",
            "oar": f"# Set walltime to default (7200 s).\nOAR_JOB_ID={job['id']}",
            "htcondor": f"Submitting job(s).\n1 job(s) submitted to cluster {job['id']}.",
        }[system]
    )


def asked(system: str, words: list[str]) -> tuple[dict[str, str], str]:
    """The name, the queue and the log that a job is submitted with, and what it runs."""
    if system == "htcondor":
        text = sys.stdin.read()
        said = dict(re.findall(r"^(\S+) = (.*)$", text, re.MULTILINE))
        quoted = said["Arguments"][1:-1].replace('""', '"').replace("$(DOLLAR)", "$")
        body = re.findall(r"'((?:[^']|'')*)'", quoted)[-1].replace("''", "'")
        queue = {"nope(": "nope", "Never": "closed"}.get(said.get("requirements", ""), "")
        return {"name": said["batch_name"], "queue": queue, "log": said.get("Output", "")}, body
    if system == "oar":
        given, body = words[:-1], words[-1]
    else:
        body = sys.stdin.read()
        mark = "#BSUB " if system == "lsf" else "#PBS "
        given = [word for line in body.splitlines() if line.startswith(mark) for word in shlex.split(line[len(mark) :])]
    named = dict(zip(given, given[1:], strict=False))
    name = named.get({"lsf": "-J", "oar": "-n"}.get(system, "-N"), "")
    return {"name": name, "queue": named.get("-q", ""), "log": named.get("-O" if system == "oar" else "-o", "")}, body


def number(word: str) -> int:
    """The number in an id."""
    return int(re.sub(r"^Moab\.|\..*$", "", word))


def cancel(system: str, words: list[str], jobs: list[Job]) -> None:
    missing = []
    for word in words:
        job = next((job for job in jobs if job["id"] == number(word)), None)
        if job is None or job["state"] == "ended":
            missing.append(word)
            continue
        if job["state"] == "running":
            os.killpg(job["pid"], signal.SIGKILL)
        job |= {"state": "ended", "cancelled": True, "finish": int(time.time())}
    if missing:
        leave(
            {
                "pbs": "qdel: Unknown Job Id {}",
                "torque": "qdel: Unknown Job Id Error {}",
                "moab": "ERROR:  invalid job specified ('{}' not found)",
                "lsf": "Job <{}>: No matching job found",
                "oar": '[ERROR] "{}" is not a valid job identifier',
                "htcondor": "Couldn't find/remove all jobs in cluster {}",
            }[system].format(missing[0])
        )


def pbs(command: str, words: list[str], jobs: list[Job], torque: bool = False) -> str:
    if command == "qselect":
        return "\n".join(f"{job['id']}.head" for job in jobs if job["state"] != "ended")
    letters = {"pending": "Q", "running": "R", "ended": "C" if torque else "F"}
    blocks = []
    for word in words:
        if word.startswith("-"):
            continue
        job = next((job for job in jobs if job["id"] == number(word)), None)
        if job is None:
            sys.stderr.write(f"qstat: Unknown Job Id {word}\n")
            continue
        lines = [("Job_Name", job["name"]), ("Job_Owner", "me@head"), ("job_state", letters[job["state"]])]
        if job["state"] == "pending":
            lines.append(("comment", REASON["pbs"][:16] + "\n\t" + REASON["pbs"][16:]))
        elif "pid" in job:
            written = time.strftime("%a %b %d %H:%M:%S %Y", time.localtime(job["start"]))
            lines += [("exec_host", "n1/0*2+n1/1"), ("stime", written), ("Resource_List.walltime", "00:10:00")]
        if job["state"] == "ended" and "pid" in job:
            lines.append(("exit_status" if torque else "Exit_status", str(271 if "cancelled" in job else job["code"])))
        blocks.append(f"Job Id: {word}\n" + "".join(f"    {key} = {value}\n" for key, value in lines))
    print("\n".join(blocks))
    if len(blocks) < sum(not word.startswith("-") for word in words):
        sys.exit(153)
    return ""


def moab(command: str, words: list[str], jobs: list[Job]) -> str:
    completed = "-c" in words
    queues: dict[str, list[str]] = {"completed": []} if completed else {"active": [], "eligible": [], "blocked": []}
    for job in jobs:
        own = {"JobID": f"Moab.{job['id']}", "JobName": job["name"], "User": "me", "ReqAWDuration": "600"}
        if job["state"] == "ended" and completed:
            code = "CNCLD(271)" if "cancelled" in job else job["code"]
            own |= {"State": "Completed", "CompletionCode": code, "CompletionTime": job["finish"], "MasterHost": "n1"}
            queues["completed"].append(xml(own))
        elif job["state"] == "running" and not completed:
            queues["active"].append(xml(own | {"State": "Running", "MasterHost": "n1", "StartTime": job["start"]}))
        elif job["state"] == "pending" and not completed:
            queues["blocked"].append(xml(own | {"State": "Idle", "BlockReason": REASON["moab"], "StartTime": 0}))
    inner = "".join(
        f'<queue count="{len(rows)}" option="{name}">{"".join(rows)}</queue>' for name, rows in queues.items()
    )
    return f'<Data><Object>queue</Object><cluster LocalActiveNodes="1"></cluster>{inner}</Data>'


def xml(values: Job) -> str:
    written = (f'{key}="{html.escape(str(value))}"' for key, value in values.items())
    return f"<job {' '.join(written)}></job>"


def lsf(command: str, words: list[str], jobs: list[Job]) -> str:
    shown = [job for job in jobs if "-a" in words or job["state"] != "ended"]
    records = []
    for job in shown:
        ended, cancelled = job["state"] == "ended", "cancelled" in job
        stat = {"pending": "PEND", "running": "RUN"}.get(
            job["state"], "EXIT" if cancelled or job.get("code") else "DONE"
        )
        records.append(
            {
                "JOBID": str(job["id"]),
                "JOB_NAME": job["name"],
                "STAT": stat,
                "EXIT_CODE": ("130" if cancelled else str(job.get("code") or "")) if ended else "",
                "EXIT_REASON": "TERM_OWNER: job killed by owner" if cancelled else "",
                "PEND_REASON": REASON["lsf"] if stat == "PEND" else "",
                "EXEC_HOST": "2*n1" if "pid" in job else "",
                "RUN_TIME": f"{int(time.time()) - job['start']} second(s)",
                "TIME_LEFT": "0:9 L" if stat == "RUN" else "",
            }
        )
    return json.dumps({"COMMAND": "bjobs", "JOBS": len(records), "RECORDS": records})


def oar(command: str, words: list[str], jobs: list[Job]) -> str:
    wanted = [int(word) for word in words if word.isdecimal()]
    shown = [job for job in jobs if (job["id"] in wanted if wanted else job["state"] != "ended")]
    states = {"pending": "Waiting", "running": "Running"}
    found = {}
    for job in shown:
        cancelled = "cancelled" in job
        found[str(job["id"])] = {
            "Job_Id": job["id"],
            "name": job["name"],
            "owner": "me",
            "state": states.get(job["state"], "Error" if cancelled else "Terminated"),
            "message": REASON["oar"] if job["state"] == "pending" else "R=1,W=0:10:0,J=B",
            "startTime": job["start"] if "pid" in job else 0,
            "stopTime": job.get("finish", 0),
            "scheduledStart": None,
            "walltime": 600,
            "assigned_network_address": ["n1"] if "pid" in job else [],
            "exit_code": job["code"] << 8 if "code" in job else None,
            "events": [{"type": "FRAG_JOB_REQUEST", "description": "User me requested to frag the job"}] * cancelled,
        }
    return json.dumps(found, indent=3) if found else ""


def htcondor(command: str, words: list[str], jobs: list[Job]) -> str:
    wanted = [int(word[:-2]) for word in words if word.endswith(".0")]
    found = []
    for job in jobs:
        if (job["state"] == "ended") != (command == "condor_history") or (wanted and job["id"] not in wanted):
            continue
        cancelled = "cancelled" in job
        ad: Job = {"ClusterId": job["id"], "ProcId": 0, "JobBatchName": job["name"]}
        ad["JobStatus"] = {"pending": 1, "running": 2}.get(job["state"], 3 if cancelled else 4)
        if job["state"] == "pending":
            ad["LastRejMatchReason"] = REASON["htcondor"] + " "
        elif "pid" in job:
            ad |= {"LastRemoteHost": "slot1_1@n1", "JobCurrentStartDate": job["start"], "NumJobStarts": 1}
        if job["state"] == "ended":
            how = {"RemoveReason": "via condor_rm (by user me)"} if cancelled else {"ExitCode": job["code"]}
            ad |= {"CompletionDate": 0 if cancelled else job["finish"], "EnteredCurrentStatus": job["finish"], **how}
        found.append(ad)
    return json.dumps(found) if found else ""


SHOW = {
    "pbs": pbs,
    "torque": lambda command, words, jobs: pbs(command, words, jobs, torque=True),
    "moab": moab,
    "lsf": lsf,
    "oar": oar,
    "htcondor": htcondor,
}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:])
