"""`offload run` where a deployment is active: recalled without it, or computed by one of its workers.

Recalled, against `python -c pass`; computed, against the same command computed embedded. All are timed from posix_spawn
to exit with their output thrown away, in turns, while the deployment (one worker, on this machine, with TLS) is up.
"""

from __future__ import annotations

import subprocess

from benchmarks.harness import PATIENCE, BenchmarkError, Context, Row, check_recalls, interleave, timed

COMMAND = "seq 1 10 | tac"
NAME = "benchmark"


def measure(context: Context) -> list[Row]:
    here = context.directory("deployment")
    environ = context.environ(here / "home")
    active = context.environ(here / "home", OFFLOAD_DEPLOYMENT=NAME)
    python, offload = str(context.offload.python), context.offload.command("offload")
    recalled, computed = ([offload, "run", "-q", *more, "--", "sh", "-c", COMMAND] for more in ((), ("--fresh",)))
    _told([offload, "up", "--name", NAME, "--workers", "1"], environ)
    try:
        check_recalls([offload, "run", "-q", "--"], active, here)
        _told(recalled, active)
        sides = {
            "pass": lambda: timed([python, "-c", "pass"], environ, here),
            "recalled": lambda: timed(recalled, active, here),
            "computed": lambda: timed(computed, active, here),
            "embedded": lambda: timed(computed, environ, here),
        }
        samples = interleave(sides, context.pick(40, 15, 2), 1)
    finally:
        _told([offload, "down", NAME], environ)
    text = f"offload run -q -- sh -c '{COMMAND}'"
    return [
        Row(
            "`offload run`, recalled with a deployment active",
            f"OFFLOAD_DEPLOYMENT={NAME} {text}",
            samples["recalled"],
            "python -c pass",
            samples["pass"],
            at_most=6,
        ),
        Row(
            "`offload run`, computed on a deployment",
            f"OFFLOAD_DEPLOYMENT={NAME} {text}",
            samples["computed"],
            "the same, embedded",
            samples["embedded"],
        ),
    ]


def _told(command: list[str], environ: dict[str, str]) -> None:
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=PATIENCE, check=False)
    if done.returncode:
        raise BenchmarkError(f"{' '.join(command)}: {done.stderr.strip()}")
