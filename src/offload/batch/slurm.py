"""Slurm."""

from __future__ import annotations

import itertools
import os
import re
import shlex
from collections import Counter
from collections.abc import Sequence
from typing import ClassVar

from offload.batch.base import BatchAwayError, BatchSystem, RefusedError, words_of
from offload.batch.request import JobRequest, parse_walltime
from offload.batch.script import command_line, written
from offload.batch.state import UNKNOWN, End, JobState, Phase, Queue, ended_by
from offload.errors import OffloadError
from offload.hosts.base import Site

_PENDING = {"PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD"}
_RUNNING = {"RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "STOPPED", "RESIZING", "SIGNALING", "STAGE_OUT"}
_ENDS = {
    "COMPLETED": End.COMPLETED,
    "FAILED": End.FAILED,
    "CANCELLED": End.CANCELLED,
    "REVOKED": End.CANCELLED,
    "TIMEOUT": End.TIMEOUT,
    "DEADLINE": End.TIMEOUT,
    "PREEMPTED": End.PREEMPTED,
    "NODE_FAIL": End.NODE_FAILED,
    "BOOT_FAIL": End.NODE_FAILED,
    "OUT_OF_MEMORY": End.OUT_OF_MEMORY,
}
# Each with a bar behind it, and without a width, so that nothing is cut; the last two may hold anything.
_FIELDS = "JobArrayID State exit_code RestartCnt StartTime EndTime NodeList Reason Name".split()
_FORMAT = ",".join(f"{field}:|" for field in _FIELDS)
_SACCT = "JobID,State,ExitCode,Start,End,NodeList,Reason"
# Directives, and the variables of sbatch that would count more than they do.
_OVERRIDES = {
    "-p": "PARTITION", "-A": "ACCOUNT", "-t": "TIMELIMIT", "-J": "JOB_NAME", "-o": "OUTPUT", "-e": "ERROR",
    "--mem": "MEM_PER_NODE", "--qos": "QOS", "--constraint": "CONSTRAINT", "--exclusive": "EXCLUSIVE",
    "--gres": "GRES", "--requeue": "NO_REQUEUE", "--no-requeue": "REQUEUE",
}  # fmt: skip


class Slurm(BatchSystem):
    """Slurm, by ``sbatch``, ``squeue``, ``scancel``, and ``sacct`` where there is accounting."""

    name = "slurm"
    title = "Slurm"
    away: ClassVar[str] = (
        r"Unable to contact slurm controller|Socket timed out|Connection refused|Zero Bytes were transmitted|"
        r"Transport endpoint is not connected|in standby mode|Slurm backup controller|"
        r"Unable to establish control(ler)? (machine )?address|temporarily unable to accept|"
        r"Protocol authentication error"
    )
    # SLURM_CONF says which Slurm; all else describes a job that the caller is in.
    kept = "SLURM_CONF|SLURM_CLUSTERS"
    dropped = (
        "SLURM_*|SQUEUE_*|SACCT_*|SCANCEL_*|SBATCH_ARRAY_INX|SBATCH_WAIT|SBATCH_TEST_ONLY|SBATCH_HOLD|"
        "SBATCH_DEPENDENCY|SBATCH_DEBUG"
    )

    def __init__(self, site: Site | None = None) -> None:
        super().__init__(site)
        self._accounting = True

    def _script(self, request: JobRequest) -> str:
        more, skip = [], ["-n 1"] if request.nodes > 1 else []
        log = self.filled(request).log
        if log is not None:
            pattern = log.replace("%", "%%")
            more.append(f"-o {_quoted(pattern if request.array is None else _numbered(pattern, '-%a'))}")
        more += [f"--qos={request.qos}"] if request.qos is not None else []
        more += [f"--constraint={_quoted(request.constraint)}"] if request.constraint is not None else []
        more += [f"--gres=gpu:{request.gpus}"] if request.gpus is not None else []
        more += ["--exclusive"] if request.exclusive else []
        more += [f"-N {request.nodes}", "--ntasks-per-node=1", "--no-kill"] if request.nodes > 1 else []
        if request.array is not None:
            more.append(f"--array={request.first}-{request.first + request.array - 1}")
        if request.requeue is not None:
            more.append("--requeue" if request.requeue else "--no-requeue")
        if request.nodes > 1 and request.everywhere:
            inner = command_line(request.command, '"$SLURM_PROCID"')
            if self.filled(request).scratch is not None:
                inner = f'mkdir -p "$TMPDIR"; {inner}'
            # The tasks of other nodes go on when one ends, and when its node fails.
            options = f"--nodes={request.nodes} --ntasks={request.nodes} --no-kill --kill-on-bad-exit=0 --wait=0"
            if log is not None:
                options += f" --output={shlex.quote(_numbered(pattern, '.%t'))}"
            options += " --cpus-per-task=$SLURM_CPUS_PER_TASK --export=ALL"
            command = f"exec srun {options} sh -c {shlex.quote(inner)}"
        else:  # of several nodes, the script itself runs on the first
            command = command_line(request.command, '"${SLURM_ARRAY_TASK_ID:-0}"')
        return written(self.name, request, command, more=more, skip=skip)

    def submit(self, script: str) -> str:
        """Submit a script; return the job's id."""
        given = {re.split(r"[= ]", line[8:])[0] for line in script.splitlines() if line.startswith("#SBATCH ")}
        drop = [word for option, name in _OVERRIDES.items() if option in given for word in ("-u", f"SBATCH_{name}")]
        done = self.run(["env", *drop, "sbatch", "--parsable"], script)
        return self._submitted(done, r"^(?:Submitted batch job )?([0-9]+)(?:;[\w.-]+)?[ \t\r]*$", script)

    def hosts(self, nodes: str) -> list[str]:
        """Return each of the nodes that a list of Slurm's names."""
        return expanded(nodes)

    def own_nodes(self) -> list[str]:
        """Return the nodes of the allocation that this process is in."""
        return expanded(os.environ.get("SLURM_JOB_NODELIST", ""))

    def on_node(self, node: str, command: Sequence[str]) -> list[str]:
        """Return a command that runs another one on a node of the allocation that this process is in."""
        # Those on a node share its processors: how many threads each has is the caller's to say.
        words = ["srun", "--nodes=1", "--ntasks=1", f"--nodelist={node}", "--overlap", "--cpu-bind=none", "--no-kill"]
        cores = os.environ.get("SLURM_CPUS_PER_TASK", "1")
        return [*words, f"--cpus-per-task={cores}", "--export=ALL", "--unbuffered", *command]

    def parts(self, job: str, request: JobRequest) -> list[str]:
        """Return the ids of the jobs of an array."""
        if request.array is None:
            return [job]
        return [f"{job}_{part}" for part in range(request.first, request.first + request.array)]

    def part(self, job: str) -> int | None:
        """Return the number of a job in its array."""
        return int(job.partition("_")[2]) if "_" in job else None

    def query(self, jobs: Sequence[str]) -> dict[str, JobState]:
        """Return the state of each job: from the controller, and from accounting for those that it has forgotten."""
        if not jobs:
            return {}
        known = {row[0]: _state(row[1:-1]) for row in self._rows("--states=all")}
        missing = [job for job in jobs if job not in known]
        if missing and self._accounting:
            known |= self._accounted(missing)
        return {job: known.get(job, UNKNOWN) for job in jobs}

    def _rows(self, *options: str) -> list[list[str]]:
        # This asks for the jobs of one user, while with --jobs the controller sends those of all of them.
        words = ["env", "SLURM_TIME_FORMAT=%s", "squeue", "--me", "--noheader", "--array", *options, "-O", _FORMAT]
        lines = self.run(words, fine="(?!)").text.splitlines()
        rows = [line.rstrip()[:-1].split("|", len(_FIELDS) - 1) for line in lines]
        return [row for row in rows if len(row) == len(_FIELDS)]  # a name may hold a line break

    def _accounted(self, jobs: Sequence[str]) -> dict[str, JobState]:
        words = ["sacct", "-n", "-P", "-X", "-D", "-j", ",".join(jobs), "-o", _SACCT]
        try:
            done = self.run(["env", "SLURM_TIME_FORMAT=%s", *words])
        except BatchAwayError:
            return {}  # the controller has answered: they are over, and only how is not known
        if done.code:
            self._accounting = "accounting storage is disabled" not in done.err.decode("utf-8", "replace")
            return {}
        found: dict[str, JobState] = {}
        starts: Counter[str] = Counter()
        for line in done.text.splitlines():  # each start of a job that was started again has one, the last one last
            job, *fields = line.split("|", _SACCT.count(","))
            found[job] = _accounted_state(fields, starts[job])
            starts[job] += 1
        return found

    def cancel(self, jobs: Sequence[str]) -> None:
        """End jobs."""
        if jobs:
            self.run(["scancel", "--", *jobs], fine="Invalid job id|already completing or completed")

    def nodes(self) -> list[str]:
        """Return the addresses of some nodes."""
        done = self.run(["sinfo", "--noheader", "--Node", "--format=%o"])
        return list(dict.fromkeys(done.text.split()))[:5] if done.code == 0 else []

    def about(self) -> str:
        """Return Slurm's version, as sbatch tells it."""
        return self.run(["sbatch", "--version"], fine="(?!)").text.strip()

    def queues(self) -> list[Queue]:
        """Return the partitions, with their longest walltime and their nodes."""
        done = self.run(["sinfo", "--noheader", "--format=%R|%P|%a|%l|%F|%c|%m"], fine="(?!)")
        found: dict[str, Queue] = {}
        for line in done.text.splitlines():  # one for each kind of nodes
            name, marked, state, limit, nodes, cores, memory = line.strip().split("|")
            before = found.get(name)
            longest = None if limit == "infinite" else parse_walltime(limit, pair="ms")
            kinds = [before.limits] if before else ["no limit of time" if limit == "infinite" else f"up to {limit}"]
            kinds.append(f"{nodes.rpartition('/')[2]} nodes of {cores} cores, {memory} MB")
            found[name] = Queue(name, state == "up", marked.endswith("*"), ", ".join(kinds), longest)
        return list(found.values())

    def rehearse(self, script: str) -> str:
        """Return when and where a job would start."""
        done = self.run(["sbatch", "--test-only"], script)
        if done.code:
            raise RefusedError(f"Slurm would refuse the job: {words_of(done)}", script)
        return re.sub(r"Job \d+ to", "would", words_of(done))

    def mine(self, label: str) -> dict[str, str]:
        """Return this user's jobs whose names begin with a label."""
        return {row[0]: row[-1] for row in self._rows() if row[-1].startswith(label)}


def _state(fields: Sequence[str]) -> JobState:
    word, status, restarts, start, finish, nodes, reason = fields
    code = _exit_code(int(status)) if status.isdecimal() else None
    return _made(word, code, restarts, start, finish, nodes, reason)


def _accounted_state(fields: Sequence[str], restarts: int) -> JobState:
    word, status, start, finish, nodes, reason = fields
    code, _, signal = status.partition(":")
    number = (-int(signal) if signal not in ("", "0") else int(code)) if code.isdecimal() else None
    # "CANCELLED by 1500"
    return _made(word.partition(" ")[0], number, str(restarts), start, finish, nodes, reason)


def _made(word: str, code: int | None, restarts: str, start: str, finish: str, nodes: str, reason: str) -> JobState:
    phase = Phase.PENDING if word in _PENDING else Phase.RUNNING if word in _RUNNING else Phase.ENDED
    end = _ENDS.get(word, ended_by(code)) if phase is Phase.ENDED else None
    return JobState(
        phase=phase,
        word=word,
        reason="" if reason in ("None", "") else reason,
        nodes="" if nodes in ("None assigned", "(null)") else nodes,
        start=_time(start),
        finish=_time(finish) if word != "COMPLETING" else None,  # it says now, whatever its walltime was
        end=end,
        exit_code=code if end in (End.COMPLETED, End.FAILED) else None,
        restarts=int(restarts) if restarts.isdecimal() else 0,
    )


def _exit_code(status: int) -> int:
    """Return the exit code of a status of ``wait``."""
    return -(status & 0x7F) if status & 0x7F else status >> 8


def _time(text: str) -> float | None:
    return float(text) if text.isdecimal() else None


def expanded(nodes: str) -> list[str]:
    """Return the names of nodes that Slurm writes in one word, in its order.

    Examples
    --------
    >>> expanded("c[1-2,7],gpu01"), expanded("r[0-1]n[08-09]")
    (['c1', 'c2', 'c7', 'gpu01'], ['r0n08', 'r0n09', 'r1n08', 'r1n09'])
    """
    found = []
    for word in re.findall(r"(?:[^,\[]|\[[^\]]*\])+", nodes):
        pieces = re.split(r"\[([^\]]*)\]", word)
        choices = [_numbers(piece) if index % 2 else [piece] for index, piece in enumerate(pieces)]
        found += ["".join(parts) for parts in itertools.product(*choices)]
    return found


def _numbers(text: str) -> list[str]:
    found = []
    for piece in text.split(","):
        first, _, last = piece.partition("-")
        found += [str(number).zfill(len(first)) for number in range(int(first), int(last or first) + 1)]
    return found


def _numbered(path: str, number: str) -> str:
    """Return a path with a number before its ending."""
    stem, dot, ending = path.rpartition(".")
    return f"{stem}{number}.{ending}" if dot and "/" not in ending else f"{path}{number}"


def _quoted(text: str) -> str:
    if '"' in text:
        raise OffloadError(f"{text!r} cannot be written for Slurm", "leave out the quotes")
    return f'"{text}"' if re.search(r"[\s'#\\]", text) else text
