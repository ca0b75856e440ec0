"""The worker's side: run a batch of calls of one function, and give back buffers.

Everything here runs in the processes that compute. What a worker was sent is checked before it runs: if the function
it ends up with is not the one that was identified, nothing is executed: its result would be recorded under a wrong
name.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from hashlib import sha256
from typing import Any

from offload.effects import memos
from offload.effects.record import Effects
from offload.effects.watch import Watch
from offload.errors import EncodeError, StorageError
from offload.identity.calls import bind
from offload.identity.declared import Declared
from offload.identity.libraries.settings import Kept, applied
from offload.registry.scope import at_home
from offload.runners import dask_client
from offload.runners.workplace import Workplace
from offload.tasks import unchanged
from offload.tasks.call import changed_in
from offload.tasks.execute import execute
from offload.tasks.inside import running
from offload.tasks.outputs import FOLDER, Outputs
from offload.transport import files as staged
from offload.transport import large_arguments
from offload.transport.batch import Batch, Packed
from offload.transport.function import Ways
from offload.transport.imports import leave_libraries_to_others, using
from offload.transport.load import check_environment, load, own_directory, place_files
from offload.transport.loaded import Loaded
from offload.transport.outcome import Outcome
from offload.transport.sources import Sources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from offload.identity.files import File
    from offload.transport.files import Sent

# Results of more bytes are put into the store by the worker; smaller ones travel with the batch.
LARGE = 64 * 1024


class Listener:
    """Is told of each call of a batch, in a process that does nothing but run calls.

    Parameters
    ----------
    tired : bool
        Whether calls of this function change again and again what it reaches: it rather goes by value then, where it
        can, than to another process after each of them.
    """

    def __init__(self, tired: bool = False) -> None:
        self.tired = tired
        self.leaves = False  # whether a call has left what cannot be removed

    def begins(self, names: Collection[str]) -> None:
        """A call begins, of a function whose code has these names."""

    def ended(self, outcome: Outcome) -> None:
        """It has ended."""


def run_batch(batch: Batch, where: str = "the worker", listener: Listener | None = None) -> list[Outcome]:
    """Run the calls of a batch.

    Parameters
    ----------
    batch : Batch
        The calls.
    where : str
        What this process is called in messages.
    listener : Listener, optional
        Is told of each call. With it, what needs other modules than this process has can go to another one.

    Returns
    -------
    list of Outcome
        One for each call; a call that fails does not stop the others.

    Raises
    ------
    IdentityError
        If this process has not the environment that the calls need, or the function is not here what it was where it
        was identified. Nothing has run then.
    OtherModulesError, OutdatedError
        If what is left of the batch has to go to another process.
    """
    if listener is not None:
        leave_libraries_to_others(batch)
    check_environment(batch.environment, where, leaves=listener is not None)
    named = batch.named
    tired = listener.tired and all(way.by_value is not None for way in batch.ways) if listener is not None else True
    outcomes: list[Outcome] = []
    workplace: Workplace | None = None
    try:
        # Calls that the function makes are recorded there, too; on a machine without it, in the home of that machine.
        home = at_home(batch.storage) if batch.at_home else contextlib.nullcontext()
        batch.seen, lacking = _seen(batch)
        leaves = listener is not None
        if listener is not None:  # else other threads of this process are in its directory, too
            workplace = Workplace(batch)
        with home, applied(batch.environment.settings), using(batch.sources, lacking, leaves) as reason:
            for call in batch.calls:
                # Another one where an earlier call has changed what the function reaches.
                loaded = load(batch, where, reason, named, not tired)
                if listener is not None:
                    listener.begins(loaded.graph.names)
                outcome = _run(loaded, batch, call, workplace)
                if listener is not None and workplace is not None:
                    listener.leaves = not workplace.clear()
                if listener is not None:
                    listener.ended(outcome)
                outcomes.append(outcome)
        return outcomes
    finally:
        if workplace is not None:
            workplace.leave()
        flush()


def flush() -> None:
    """Let what has been printed go its way."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()


def _seen(batch: Batch) -> tuple[Sources, str]:
    """Return the files of a batch as they are here, and why they are not."""
    from offload.registry.session import session_at_home
    from offload.snapshots.locate import seen_here as located

    store = (lambda: session_at_home(batch.storage).store) if batch.at_home else None
    given = {*batch.files, *(one for call in batch.calls if isinstance(call, staged.Staged) for one in call.files)}
    return located(batch.sources, batch.snapshot, store, batch.directory, given)


def _run(loaded: Loaded, batch: Batch, call: Packed, workplace: Workplace | None) -> Outcome:
    with Outputs(os.path.join(own_directory(batch.directory), FOLDER) if batch.directory else "") as made:
        return _run_making(loaded, batch, call, workplace, made)


def _run_making(loaded: Loaded, batch: Batch, call: Packed, workplace: Workplace | None, made: Outputs) -> Outcome:
    function, graph, declared = loaded.function, loaded.graph, loaded.declared
    outcome = Outcome(time.time())
    began = time.perf_counter()
    used: list[Sent] = []
    seen: list[Sent] = []
    run = unchanged.Run(graph, not loaded.stale)
    with running():
        try:
            plain = staged.without_files(call)
            if not isinstance(plain, tuple):  # a default may be a file even then
                (args, kwargs), checksums, files, used = _unpacked(call, batch, loaded.by_name)
                declared = [*declared, *files, *(one[0] for one in used)]
            else:
                (args, kwargs), checksums = plain, {}
            if workplace is not None:
                declared = [*declared, *workplace.give((*batch.files, *used))]
            seen = staged.there((*batch.reached, *(call.seen if isinstance(call, staged.Staged) else ())))
            began = time.perf_counter()
            watch = Watch(declared, ignores=not batch.watched)
            environment = batch.environment
            settings = Kept({*graph.modules, *dict(environment.distributions), *dict(environment.settings)})
            if graph.caches:
                memos.clear_stale(graph)
            watch.listen(graph, (*args, *kwargs.values()), dict(environment.distributions))
            watch.begin()
            process = os.getpid()
            try:
                dask_client.provide(graph)
                result = execute(function, args, kwargs)
            finally:
                if os.getpid() != process:
                    _end_child()
                watch.end()
                watch.put_back(settings)
        except BaseException as exc:  # sys.exit in a call must not end the worker
            outcome.seconds = time.perf_counter() - began
            dask_client.explain(exc)
            if workplace is not None:
                workplace.explain(exc)
            if loaded.lacking:
                exc.add_note(
                    f"its modules were not imported where it ran, and its code went there by value: {loaded.lacking}"
                )
            outcome.fail(exc)
            return outcome
        finally:
            run.end()
    outcome.seconds = time.perf_counter() - began
    run.look(outcome, of_parts=False)
    outcome.changed = outcome.changed or _changed_by(loaded, call)
    outcome.changed_file = staged.changed(used) or _differing(seen)
    outcome.effects = watch.all_seen(graph)
    if checksums and batch.watched:
        bound = bind(function.function if isinstance(function, Declared) else function, args, kwargs)
        outcome.on_copies = changed_in(bound, checksums) is not None
    _keep(outcome, batch, loaded, result, workplace, made)
    return outcome


def _end_child() -> None:
    """End a child that a call has forked, and that comes back out of the function as its parent does."""
    error = sys.exc_info()[1]
    code = 0 if error is None else 1
    if isinstance(error, SystemExit) and (error.code is None or isinstance(error.code, int)):
        code = error.code or 0
    elif error is not None:
        sys.excepthook(type(error), error, error.__traceback__)
    flush()
    os._exit(code & 0xFF)


def _differing(seen: list[Sent]) -> str | None:
    """Return which file that a call was identified by is not what it was, by the cache of checksums of this process."""
    if not seen:
        return None
    import offload.tasks.files  # noqa: F401 - which puts the cache there

    return staged.differing(seen)


def _changed_by(loaded: Loaded, call: Packed) -> str | None:
    """Return which class or function among the arguments a call has changed: it is this process's own, and no copy."""
    arguments = staged.without_files(call)
    if not loaded.by_name or not isinstance(arguments, Ways):
        return None
    from offload.transport import imports

    return imports.changed(arguments.named) or None


def _unpacked(call: Packed, batch: Batch, by_name: bool) -> tuple[Any, dict[str, str], list[File], list[Sent]]:
    """Return the arguments of a call, their checksums, the files among them, and which of these were sent along."""
    from offload.identity.files import noting

    arguments = staged.without_files(call)
    if isinstance(arguments, Ways):
        ways = arguments
        arguments = ways.by_name if by_name else ways.by_value
        if arguments is None:
            raise EncodeError(ways.refused, "call the function directly, or pass plainer values")
    with noting() as met:
        unpacked, checksums = large_arguments.loads(arguments)
    used = place_files(batch, met, call.files) if isinstance(call, staged.Staged) and call.files else []
    return unpacked, checksums, [file for file, _ in met], used


def _keep(
    outcome: Outcome, batch: Batch, loaded: Loaded, result: object, workplace: Workplace | None, made: Outputs
) -> None:
    """Turn the result into a buffer, and put a large one into the store."""
    from offload.registry.session import session_at_home
    from offload.tasks.results import FROM_COPIES, to_buffer, with_changes, with_outputs
    from offload.tasks.returned_files import kept_in, returned

    own = workplace.own if workplace is not None else ""
    if outcome.effects is not None and outcome.effects.written:
        outcome.effects.gives_back(returned(result))
    if workplace is not None and batch.watched and workplace.is_used:
        outcome.effects = outcome.effects or Effects()
        workplace.tell_left(outcome.effects, returned(result))

    try:
        with kept_in((lambda: session_at_home(batch.storage).store) if batch.at_home else None, made, own):
            chunks, outcome.difference = to_buffer(result, loaded.graph, not loaded.by_name)
            chunks = with_outputs(chunks, made.others())
    except EncodeError as exc:
        outcome.fail(exc)
        return
    if outcome.changes is not None:
        chunks = with_changes(chunks, *outcome.changes)
        outcome.changes = None
    if outcome.on_copies:
        chunks.insert(0, FROM_COPIES)
    if sum(map(len, chunks)) >= LARGE and not batch.scratch and batch.at_home:
        try:
            outcome.checksum = session_at_home(batch.storage).store.put([chunks])[0]
            return
        except StorageError:
            pass  # it goes back with the batch instead, and the client says that it is not recorded
    outcome.buffer = b"".join(chunks)
    outcome.checksum = sha256(outcome.buffer).hexdigest()
