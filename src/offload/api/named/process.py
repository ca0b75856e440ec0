"""The process of another environment: makes calls for a program, as if that ran here."""

from __future__ import annotations

import functools
import os
import pickle
import signal
import socket
import sys
import threading
from importlib.machinery import ModuleSpec
from typing import Any

from offload.api.named.messages import CALL, SUBMIT, WHY, Answer, Asked, Cancelled, values_of
from offload.errors import IdentityError
from offload.runners.frames import receive, send
from offload.transport.exceptions import Raised
from offload.transport.imports import attribute, importing, prepare
from offload.transport.large_arguments import beside
from offload.transport.sources import checksum_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

    from offload.api.task import Task
    from offload.tasks.futures import Future


class Maker:
    """Makes calls.

    Parameters
    ----------
    program : socket
        Leads to the program.
    """

    def __init__(self, program: socket.socket) -> None:
        self._program = program
        self._lock = threading.Lock()
        self._makes = False
        self._begun: dict[tuple[int, int], Future[Any]] = {}
        self._by_value: dict[bytes, tuple[Task[..., Any], dict[str, ModuleType]]] = {}
        signal.signal(signal.SIGINT, self._interrupted)

    def _interrupted(self, number: int, frame: object) -> None:
        """End what a direct call computes; else Ctrl-C is the program's affair."""
        if self._makes:
            raise KeyboardInterrupt

    def serve(self) -> None:
        """Make calls until the program needs no more of them; where it has ended otherwise, end at once."""
        while True:
            try:
                asked = receive(self._program)
            except EOFError:
                os._exit(0)
            if asked is None:
                return
            if isinstance(asked, Cancelled):
                if (future := self._begun.get((asked.number, asked.row))) is not None:
                    future.cancel(running=asked.running)
            else:
                self._serve(asked)

    def _serve(self, asked: Asked) -> None:
        row = 0
        try:
            _surround(asked)
            task = self._task(asked)
            rows = [pickle.loads(row) for row in asked.rows]
            if asked.what == SUBMIT:
                from offload.api.submit import submit_many

                for number, future in enumerate(submit_many(task, rows)):
                    self._begun[asked.number, number] = future
                    future.add_done_callback(functools.partial(self._ended, asked.number, number, task))
                return
            ((args, kwargs),) = rows
            self._say(self._made(asked, task, args, kwargs))
        except BaseException as exc:  # the program is told, and goes on or ends as it likes
            for row in range(len(asked.rows)):
                self._say(Answer(asked.number, row, raised=Raised(exc)))

    def _task(self, asked: Asked) -> Task[..., Any]:
        """Return the task by its name."""
        changed = next((path for path, digest in asked.sources.files.items() if checksum_of(path) != digest), None)
        if changed is not None:
            raise IdentityError(f"{changed} has changed since the call was begun", "begin it again")
        if asked.by_value is not None:
            return self._sent(asked, asked.by_value)
        with importing():
            prepare(asked.sources, asked.main)
            task: Task[..., Any] = attribute(asked.module, asked.qualname)
        ours = values_of(task.graph())
        for name in ours.keys() & asked.values.keys():
            if ours[name] != asked.values[name]:
                raise IdentityError(
                    f"{':'.join(name)} is another value in {sys.prefix} than in the program, which has set it since",
                    "pass it as an argument",
                )
        return task

    def _sent(self, asked: Asked, by_value: bytes) -> Task[..., Any]:
        """Return a task that has come by value."""
        from offload.identity.libraries.patches import give
        from offload.transport.load import main_name
        from offload.transport.modules import provide

        if asked.sources:  # classes of arguments
            with importing():
                prepare(asked.sources, asked.main)
        known = self._by_value.get(by_value)
        if known is None:
            if asked.main != main_name():
                sys.modules["__main__"].__spec__ = ModuleSpec(asked.main, None)
            try:
                task, modules, puts = pickle.loads(by_value)
            except ImportError as exc:
                raise IdentityError(
                    f"{asked.module}:{asked.qualname} needs what {sys.prefix} has not: {exc}",
                    "install it there, or import what only the program needs elsewhere than beside the function",
                ) from exc
            give(puts)
            known = self._by_value[by_value] = task, modules
        provide(known[1])
        return known[0]

    def _made(self, asked: Asked, task: Task[..., Any], args: Any, kwargs: Any) -> Answer:
        """Make a call here and now."""
        if asked.what == WHY:
            from offload.api.why import why

            return Answer(asked.number, 0, data=why(task, *args, **kwargs))
        self._makes = True
        try:
            value: Any = (task if asked.what == CALL else task.fresh)(*args, **kwargs)
            if task._asynchronous:
                import asyncio

                value = asyncio.run(value)
        finally:
            self._makes = False
        return Answer(asked.number, 0, _buffer(value, task))

    def _ended(self, number: int, row: int, task: Task[..., Any], done: Future[Any]) -> None:
        data, raised = None, None
        try:
            data = _buffer(done.result(), task)
        except BaseException as exc:  # the program is told
            raised = Raised(exc)
        self._begun.pop((number, row), None)
        told = done.transformation, done.effects, done.unrecorded
        self._say(Answer(number, row, data, raised, done.recalled, *told))

    def _say(self, answer: Answer) -> None:
        with self._lock:
            send(self._program, answer)


def _buffer(value: object, task: Task[..., Any]) -> Any:
    from offload.registry.session import current
    from offload.tasks.outputs import Outputs
    from offload.tasks.results import to_buffer
    from offload.tasks.returned_files import kept_in

    with kept_in(lambda: current().store, Outputs()):
        return beside(b"".join(to_buffer(value, task.graph())[0]))


def _surround(asked: Asked) -> None:
    """Have the variables and the directory of the program."""
    if asked.variables != dict(os.environ):
        for name in os.environ.keys() - asked.variables.keys():
            del os.environ[name]
        os.environ.update(asked.variables)
    if os.getcwd() != asked.directory:
        os.chdir(asked.directory)


def main(descriptor: int) -> None:
    """Make the calls of the program that a descriptor leads to."""
    sys.argv[:] = ["-c"]
    program = socket.socket(fileno=descriptor)
    os.set_inheritable(descriptor, False)
    os.register_at_fork(after_in_child=program.close)
    Maker(program).serve()
