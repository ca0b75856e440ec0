"""Running recorded Python calls again, each function in a process of its own, with a home that is empty."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys

from offload.errors import DecodeError
from offload.identity.values.decode import decode
from offload.storage.home import VARIABLES
from offload.verify.child import Answer, Job
from offload.verify.verdicts import COMPARED, DIFFERENT, NOT_RUN, SAME, CannotRunError, Verdict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Any

    from offload.registry.session import Session
    from offload.storage.records import Transformation

_NO_CODE = (
    "its function was not kept: it is larger than 1 MiB with what it reaches, cannot be pickled, "
    "or the call has changed it"
)


class Callers:
    """The processes that run calls again; one for each function, started when it is needed.

    Parameters
    ----------
    home : str
        An empty directory. What the functions themselves recall and record is there, and so is computed again, too.
    """

    def __init__(self, home: str) -> None:
        self._home = home
        self._process: subprocess.Popen[bytes] | None = None
        self._key = ("", "")

    def verify(self, session: Session, found: Transformation) -> Verdict:
        """Run a recorded call again, and compare what it gives."""
        try:
            job, directory = _job(session, found)
            answer = self._ask(job, directory)
        except CannotRunError as error:
            return Verdict(found, NOT_RUN, [str(error)])
        if answer.refusal:
            return Verdict(found, NOT_RUN, [answer.refusal])
        if answer.difference:
            return Verdict(found, DIFFERENT, [answer.difference], answer.seconds)
        return Verdict(found, SAME, [], answer.seconds)

    def _ask(self, job: Job, directory: str) -> Answer:
        key = (job.function, directory)
        if self._process is None or key != self._key:
            self.close()
            self._process, self._key = self._start(directory), key
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(pickle.dumps(job))
            process.stdin.flush()
            answer = _read(process.stdout)
        except (BrokenPipeError, EOFError):
            code = process.wait()
            self.close()
            ended = f"by signal {-code}" if code < 0 else f"with exit code {code}"
            return Answer(f"the result -> the process ended {ended}")
        return answer

    def _start(self, directory: str) -> subprocess.Popen[bytes]:
        unset = VARIABLES[1:]
        environment = {name: value for name, value in os.environ.items() if name not in unset}
        environment.update(OFFLOAD_HOME=self._home, OFFLOAD_DEPLOYMENT="none")
        return subprocess.Popen(
            [sys.executable, "-c", "from offload.verify.child import main; main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=directory if os.path.isdir(directory) else None,
            env=environment,
            start_new_session=True,
        )

    def close(self) -> None:
        """End the process."""
        from offload.commands.running.session import KILL_NOW, end_group

        process, self._process = self._process, None
        if process is not None:
            end_group(process, KILL_NOW)
            for stream in (process.stdin, process.stdout):
                assert stream is not None
                try:
                    stream.close()
                except BrokenPipeError:
                    continue


def _read(stream: IO[bytes]) -> Answer:
    answer = pickle.load(stream)
    assert isinstance(answer, Answer)
    return answer


def _job(session: Session, found: Transformation) -> tuple[Job, str]:
    """Return a call as it was, with all that is needed to run it again, and where it ran."""
    record: dict[str, Any] = decode(found.record)
    (result,) = session.database.results([found.checksum])
    if result is None:
        raise CannotRunError("it has no result any more: it was forgotten")
    runs = session.database.runs(transformation=found.checksum, limit=1)
    details: dict[str, Any] = decode(runs[0].details) if runs and runs[0].details else {}
    parts = _parts(session, details.get("parts", ""))
    if parts is None or "code" not in parts:
        raise CannotRunError("what it ran was not kept, or is not in the store any more")
    if parts["code"] is None:
        raise CannotRunError(_NO_CODE)
    code, buffer = session.store.get([parts["code"], result.result])
    if code is None:
        raise CannotRunError("its function is not in the store any more")
    if buffer is None and result.status != "scratch":
        raise CannotRunError("its result is not stored any more")
    if buffer is not None and len(buffer) > COMPARED:
        buffer = None
    values = _values(session, record, details)
    assert found.function is not None
    job = Job(found.checksum, found.function, code, parts["main"], record, values, result.result, buffer)
    return job, details.get("directory", "")


def _parts(session: Session, checksum: str) -> dict[str, Any] | None:
    (data,) = session.store.get([checksum]) if checksum else [None]
    try:
        value = None if data is None else decode(data)
    except DecodeError:
        return None
    return value if isinstance(value, dict) else None


def _values(session: Session, record: dict[str, Any], details: dict[str, Any]) -> dict[str, tuple[str, Any]]:
    """Return what there is of each argument: what was kept, or a buffer of the store that has its checksum."""
    names = [name for name, *_ in details.get("arguments", ())]
    kept = dict(zip(names, details.get("values", ()), strict=False))
    values: dict[str, tuple[str, Any]] = {name: ("kept", value) for name, value in kept.items() if value != []}
    absent = [name for name in record["arguments"] if name not in values]
    for name, data in zip(absent, session.store.get([record["arguments"][n] for n in absent]), strict=True):
        if data is not None:
            values[name] = "buffer", data
    missing = [name for name in dict.fromkeys((*absent, *names)) if name not in values]
    if missing:
        names_text = ", ".join(missing)
        raise CannotRunError(
            f"not kept, since larger than 4 KiB with its code and no recorded result: argument {names_text}"
        )
    return values
