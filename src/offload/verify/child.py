"""The process that runs recorded Python calls again.

It reads pickled `Job` objects from standard input, and for each it writes a pickled `Answer` to standard output. What
the functions print goes nowhere.
"""

from __future__ import annotations

import os
import pickle
from importlib import metadata
from typing import Any

from offload.errors import OffloadError
from offload.tasks.replay import restored
from offload.verify.verdicts import CannotRunError, different_values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.identity.environment import Environment
    from offload.transport.outcome import Outcome


class Job:
    """A call to be run again.

    Attributes
    ----------
    transformation : str
        What it has to be identified as.
    function, code, main
        Checksum, pickled function, and what ``__main__`` goes by.
    record : dict
        The decoded record.
    values : dict
        What is kept of each argument, or the buffer of its value.
    result : str
        Checksum of what it gave.
    buffer : bytes or None
        What it gave, to tell the difference.
    """

    def __init__(
        self,
        transformation: str,
        function: str,
        code: bytes,
        main: str,
        record: dict[str, Any],
        values: dict[str, tuple[str, Any]],
        result: str,
        buffer: bytes | None,
    ) -> None:
        self.transformation = transformation
        self.function = function
        self.code = code
        self.main = main
        self.record = record
        self.values = values
        self.result = result
        self.buffer = buffer


class Answer:
    """What came of it: neither reason means that the same came out.

    Attributes
    ----------
    difference : str
        How the result differs.
    refusal : str
        Why it was not run.
    seconds : float
        How long the function ran.
    """

    def __init__(self, difference: str = "", refusal: str = "", seconds: float = 0.0) -> None:
        self.difference = difference
        self.refusal = refusal
        self.seconds = seconds


def run_again(job: Job) -> Answer:
    """Run one call, if it is still what was recorded."""
    try:
        return _run(job)
    except CannotRunError as error:
        return Answer(refusal=str(error))
    except OffloadError as error:
        return Answer(refusal=error.message)


def _run(job: Job) -> Answer:
    from offload.identity.environment import Environment
    from offload.identity.libraries.settings import applied

    _check_environment(job.record["environment"])
    settings = tuple(job.record["environment"].get("settings", {}).items())
    here = Environment(job.record["environment"]["interpreter"], (), settings)
    with applied(settings):
        return _run_in(job, here)


def _run_in(job: Job, here: Environment) -> Answer:
    from offload.identity.declared import Declared
    from offload.runners.batch import run_batch
    from offload.storage.home import Home
    from offload.transport.batch import Batch
    from offload.transport.function import ShippedFunction, Ways
    from offload.transport.load import load
    from offload.transport.pickling import dumps
    from offload.transport.sources import Sources

    code = Ways(None, Sources(), job.code)
    batch = Batch(Home(os.environ["OFFLOAD_HOME"]), ShippedFunction(job.function, code, job.main, here), [])
    loaded = load(batch, "the process that runs it again")
    function, graph = loaded.function, loaded.graph
    plain = function.function if isinstance(function, Declared) else function
    args, kwargs = _arguments(plain, job.values)
    _check_identity(job, plain, graph, args, kwargs)
    batch.calls.append(dumps(((args, kwargs), job.record["arguments"])))
    (outcome,) = run_batch(batch, "the process that runs it again")
    if outcome.error is not None:
        return Answer(f"the result -> {_raised(outcome)}", seconds=outcome.seconds)
    if outcome.checksum == job.result:
        return Answer(seconds=outcome.seconds)
    return Answer(_difference(job, outcome), seconds=outcome.seconds)


def _raised(outcome: Outcome) -> str:
    """Return what a call raised, in one line: the first one of its message."""
    assert outcome.error is not None
    name, first = outcome.error.name.rpartition(".")[2], outcome.error.said.strip().partition("\n")[0]
    return f"{name}: {first}" if first else name


def _check_environment(environment: dict[str, Any]) -> None:
    from offload.identity.libraries.distributions import interpreter

    if environment["interpreter"] != interpreter():
        raise CannotRunError(f"it ran in {environment['interpreter']}, and this is {interpreter()}")
    for owner in environment["distributions"]:
        name, _, version = owner.partition("==")
        try:
            present = metadata.version(name)
        except metadata.PackageNotFoundError:
            raise CannotRunError(f"it used {name} {version}, which is not installed here") from None
        if present != version:
            raise CannotRunError(f"it used {name} {version}, and here is {present}")


def _arguments(function: Any, values: dict[str, tuple[str, Any]]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments as they are to be given, from what is kept of each parameter's."""
    import inspect

    from offload.identity.values.decode import decode

    known = {}
    for name, (how, kept) in values.items():
        try:
            known[name] = restored(kept) if how == "kept" else decode(kept)
        except Exception as error:  # whatever the value's class may raise
            raise CannotRunError(f"its argument {name} cannot be rebuilt: {error}") from error
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    try:
        parameters = inspect.signature(function, follow_wrapped=False).parameters.values()
    except ValueError:  # as for the built-in functions that do not tell theirs
        return tuple(known["args"]), known["kwargs"]
    for parameter in parameters:
        if parameter.kind is parameter.VAR_POSITIONAL:
            args += known[parameter.name]
        elif parameter.kind is parameter.VAR_KEYWORD:
            kwargs.update(known[parameter.name])
        elif parameter.kind is parameter.KEYWORD_ONLY:
            kwargs[parameter.name] = known[parameter.name]
        else:
            args.append(known[parameter.name])
    return tuple(args), kwargs


def _check_identity(job: Job, function: Any, graph: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    from offload.identity.calls import Recorder, bind

    before = job.record["arguments"]
    ignored = getattr(graph.root, "ignore", ())
    bound = [(name, value) for name, value in bind(function, args, kwargs) if name not in ignored]
    transformation, _, arguments, *_ = Recorder(graph.checksum, graph.modules).record(bound)
    if transformation == job.transformation:
        return
    for name, checksum in arguments:
        if before.get(name) != checksum:
            raise CannotRunError(f"its argument {name} is not what it was (a file with other content?)")
    raise CannotRunError("it is identified in another way by this version of offload")


def _difference(job: Job, outcome: Any) -> str:
    from offload.tasks.results import from_buffer

    if job.buffer is None:
        return "the result is another one (the recorded one is not stored, or large)"
    now = outcome.buffer
    if now is None:
        from offload.registry.session import current

        (now,) = current().store.get([outcome.checksum])
    try:
        return different_values(from_buffer(job.buffer, ""), from_buffer(now, ""))
    except OffloadError:
        return "the result is another one"


def main() -> None:
    """Answer until there are no more jobs."""
    jobs, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    with jobs, answers:
        while True:
            try:
                job = pickle.load(jobs)
            except EOFError:
                return
            pickle.dump(run_again(job), answers)
            answers.flush()
