"""``offload doctor``."""

from __future__ import annotations

import sys

import click

from offload.cli.arguments import json_option
from offload.cli.deployments.up_options import chosen, request_options
from offload.cli.output import say
from offload.cli.tables import one_line, write_json, write_line

EPILOG = """\b
Examples:
    offload doctor
    offload doctor ssh://me@login.example.org
    offload doctor ssh://me@server --route direct --ports 60001-61000
    offload doctor slurm://me@login --partition gpu --gpus 1 --walltime 2h --trial
    offload doctor big
"""


@click.command(epilog=EPILOG)
@click.argument("target", required=False)
@click.option("--route", type=click.Choice(["tunnel", "direct"]), help="For ssh://: how it will be reached.")
@click.option("--ports", metavar="A-B", help="Look at these ports, too.")
@click.option("--host", default="", metavar="ADDRESS", help="Address to listen on.")
@click.option("--workers-host", default="", metavar="ADDRESS", help="Under which workers reach it.")
@click.option("--scratch", default="", metavar="DIR", help="Where workers keep temporary files.")
@click.option("--python", default="", metavar="PATH", help="For ssh://: the Python there.")
@click.option("--trial", is_flag=True, help="For slurm:// and the like: send one small job.")
@request_options
@json_option
def doctor(
    target: str | None,
    route: str | None,
    ports: str | None,
    host: str,
    workers_host: str,
    scratch: str,
    python: str,
    trial: bool,
    as_json: bool,
    **choices: object,
) -> int:
    """Check whether all is well, and say what to do where it is not.

    TARGET is nothing, for this machine; or ssh://USER@HOST, for another one and the way there; or slurm://USER@LOGIN
    (slurm:// on the login node; also sge, pbs, ...), for a cluster: its partitions, whether it would take a job like
    the one described by the options, and with --trial, whether nodes see the home and reach the login node; or the
    name of a deployment: its machine, its ports, its services. The exit code is 1 if anything fails; warnings do
    not count.
    """
    import dataclasses

    from offload.doctor.examine import examine
    from offload.doctor.options import Options
    from offload.doctor.result import FAIL, PASS
    from offload.registry.deployments import Registry
    from offload.storage.home import home_path
    from offload.util.quantities import parse_ports

    registry = Registry(home_path())  # as it is: whether it can be used is one of the questions
    range_ = parse_ports(ports) if ports else None
    asked = Options(route or "", range_, host, scratch, python, "", "", chosen(choices), trial, workers_host)
    results = []
    for result in examine(registry, target, asked):
        results.append(result)
        if not as_json:
            write_line(f"{result.outcome:<7}  {result.check:<12}  {one_line(result.found)}")
            if result.outcome != PASS and result.hint:
                first, *more = result.hint.splitlines()
                write_line(f"{'':<9}{'':<12}  -> {one_line(first)}")
                for line in more:
                    write_line(f"{'':<9}{'':<12}     {one_line(line)}")
            sys.stdout.flush()
    wrong = [result for result in results if result.outcome == FAIL]
    if as_json:
        write_json([dataclasses.asdict(result) for result in results])
    elif wrong:
        say(f"{len(wrong)} of {len(results)} checks failed")
    else:
        warnings = sum(result.outcome != PASS for result in results)
        say(f"none of {len(results)} checks failed" + (f"; {warnings} warned" if warnings else ""))
    return 1 if wrong else 0
