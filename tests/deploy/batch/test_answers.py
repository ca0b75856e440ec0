"""What the commands of a site say when a job is submitted: wrappers print lines before and after the number."""

from __future__ import annotations

from pathlib import Path

import pytest

from offload.batch import BatchAwayError, RefusedError, batch_system
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


@pytest.mark.parametrize("name", ANSWERS)
def test_a_command_that_ends_badly_may_have_submitted_a_job(name: str, tmp_path: Path) -> None:
    command, answer, _ = ANSWERS[name]
    with pytest.raises(BatchAwayError, match=r"was killed, and .* may have the job"):
        submit(name, command, "kill -9 $$", tmp_path)
    with pytest.raises(BatchAwayError, match="was killed"):  # by a wrapper that passes on how it ended
        submit(name, command, "exit 137", tmp_path)
    (tmp_path / "said").write_text(answer + "\n")
    with pytest.raises(BatchAwayError, match="took the job, and then failed: the log server is away"):
        submit(name, command, f"cat {tmp_path}/said; echo the log server is away >&2; exit 1", tmp_path)
    with pytest.raises(RefusedError, match="unknown queue"):
        submit(name, command, "echo unknown queue >&2; exit 170", tmp_path)


OF_THE_USER = {
    "slurm": ("sbatch", ["SBATCH_ARRAY_INX", "SBATCH_WAIT", "SBATCH_TEST_ONLY", "SBATCH_HOLD", "SBATCH_DEPENDENCY"]),
    "pbs": ("qsub", ["PBS_DPREFIX", "PBS_ARRAY_INDEX", "PBS_JOBID"]),
    "lsf": ("bsub", ["BSUB_QUIET", "BSUB_STDERR", "BSUB_CHK_RESREQ", "LSB_JOBID"]),
}


@pytest.mark.parametrize("name", OF_THE_USER)
def test_variables_that_change_what_is_submitted_do_not_count(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command, variables = OF_THE_USER[name]
    for variable in variables:
        monkeypatch.setenv(variable, "0-2")
    monkeypatch.setenv("SBATCH_ACCOUNT", "mine")
    (tmp_path / "said").write_text(ANSWERS[name][1])
    submit(name, command, f"env > {tmp_path}/seen; cat {tmp_path}/said", tmp_path)
    seen = {line.partition("=")[0] for line in (tmp_path / "seen").read_text().splitlines()}
    assert not seen & set(variables)
    assert "SBATCH_ACCOUNT" in seen


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
