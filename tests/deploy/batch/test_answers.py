"""What the commands of a site say when a job is submitted: wrappers print lines before and after the number."""

from __future__ import annotations

from pathlib import Path

import pytest

from offload.deploy.batch import BatchAwayError, RefusedError, batch_system
from tests.deploy.batch.clusters import WithCommands

ANSWERS = {
    "slurm": ("sbatch", "1234", "1234"),
    "sge": ("qsub", "1234", "1234"),
    "pbs": ("qsub", "1234.server.example", "1234"),
    "torque": ("qsub", "1234.server", "1234"),
    "moab": ("msub", "Moab.1234", "Moab.1234"),
    "lsf": ("bsub", "Job <1234> is submitted to default queue <normal>.", "1234"),
    "oar": ("oarsub", "OAR_JOB_ID=1234", "1234"),
    "htcondor": ("condor_submit", "1 job(s) submitted to cluster 1234.", "1234.0"),
}
BEFORE = "no partition specified, using default partition 77"
AFTER = "see https://example.org/help for 24 h limits"


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("form", ["{0}", "{1}\n{0}", "{0}\n{2}", "{1}\n{0}\n{1}\n\n{2}"])
def test_a_wrapper_that_says_more(name: str, form: str, tmp_path: Path) -> None:
    command, answer, expected = ANSWERS[name]
    (tmp_path / "said").write_text(form.format(answer, BEFORE, AFTER) + "\n")
    assert submit(name, command, f"cat {tmp_path}/said", tmp_path) == expected


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_without_a_number_may_be_a_job(name: str, tmp_path: Path) -> None:
    """It is looked for by its name before anything is submitted again."""
    command, _, _ = ANSWERS[name]
    with pytest.raises(BatchAwayError, match="said no number: your job is on its way"):
        submit(name, command, "echo your job is on its way", tmp_path)
    with pytest.raises(RefusedError, match="no such account"):
        submit(name, command, "echo no such account >&2; exit 1", tmp_path)


@pytest.mark.parametrize("said", ["1234;cluster", "Submitted batch job 1234", "1234  ", "99\n1234;a.b-c"])
def test_forms_of_slurm(said: str, tmp_path: Path) -> None:
    (tmp_path / "said").write_text(said)
    assert submit("slurm", "sbatch", f"cat {tmp_path}/said", tmp_path) == "1234"


def submit(name: str, command: str, does: str, directory: Path) -> str:
    """Submit a script by a command of that name, which takes it and does something."""
    commands = directory / "commands"
    commands.mkdir(exist_ok=True)
    (commands / command).write_text(f"#!/bin/sh\ncat > /dev/null\n{does}\n")
    (commands / command).chmod(0o755)
    return batch_system(name, WithCommands(commands)).submit("#!/bin/sh\ntrue\n")
