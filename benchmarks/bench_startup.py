"""The start of a process: `import offload`, and a recalled `offload run`.

Against `python -c pass` of the same interpreter in the same environment, the least that any Python program costs, and
against a recalled `seamless-run` of the same command. All are timed from posix_spawn to exit with their output thrown
away, in turns. Fair to Seamless: its servers are up and warm, it is pointed at them directly (it launches nothing, it
needs no handshake), and both sides are first shown to recall a command that prints the time.
"""

from __future__ import annotations

from benchmarks.harness import Context, Row, check_recalls, interleave, timed
from benchmarks.seamless_servers import Servers

COMMAND = "seq 1 10 | tac"


def measure(context: Context) -> list[Row]:
    here = context.directory("startup")
    environ = context.environ(here / "home")
    python, offload = str(context.offload.python), context.offload.command("offload")
    run = [offload, "run", "-q", "--"]
    check_recalls(run, environ, here)
    sides = {
        "pass": lambda: timed([python, "-c", "pass"], environ, here),
        "import": lambda: timed([python, "-c", "import offload"], environ, here),
        "run": lambda: timed([*run, "sh", "-c", COMMAND], environ, here),
    }
    rounds, every = context.pick(60, 25, 2), {"seamless": 6}
    if context.seamless is None:
        samples = interleave(sides, rounds, 1)
    else:
        with Servers(context.seamless, here / "seamless") as servers:
            theirs = context.environ(here / "home", **servers.variables)
            seamless_run = [context.seamless.command("seamless-run"), "-q"]
            check_recalls(seamless_run, theirs, here)
            sides["seamless"] = lambda: timed([*seamless_run, COMMAND], theirs, here)
            samples = interleave(sides, rounds, 1, every)
    recalled = f"offload run -q -- sh -c '{COMMAND}'"
    return [
        Row(
            "`import offload`",
            "python -c 'import offload'",
            samples["import"],
            "python -c pass",
            samples["pass"],
            at_most=2,
        ),
        Row("`offload run`, recalled", recalled, samples["run"], "python -c pass", samples["pass"], at_most=4),
        Row(
            "`offload run`, recalled",
            f"{recalled}  # seamless-run -q '{COMMAND}'",
            samples["run"],
            "seamless-run",
            samples.get("seamless"),
            note="servers already running",
        ),
    ]
