"""The plan of one command: what it depends on, found and identified, before it is looked up or run."""

from __future__ import annotations

from offload.commands.planning.inputs import PlannedInput
from offload.commands.planning.times import modification_times, order_checksum
from offload.identity.commands import command_record, identify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.commands.named_environments import NamedEnvironment
    from offload.commands.planning.sought import Sought
    from offload.commands.planning.stdin import Stdin
    from offload.commands.request import Request


class Plan:
    """One command, ready to be looked up or run.

    Parameters
    ----------
    request : Request
        What was asked for.
    executable : str
        Path of the program.
    inputs : list of PlannedInput
        All that was detected or declared.
    stdin : Stdin
        Its standard input.
    programs : dict
        The user's own programs that a program text names, and what runs scripts; and their paths.

    Attributes
    ----------
    around : dict
        Variables of the worker that runs it, which its programs need there; they do not count.
    sought : Sought or None
        What it needs to know of the programs of the workers, where it uses those.
    order : dict
        The places of the inputs' files in the order in which they were modified, where the command goes by that.
    """

    __slots__ = (
        "around", "data", "environment", "executable", "executable_checksum", "inputs", "installed", "order",
        "program_checksums", "programs", "record", "request", "software", "sought", "stdin", "transformation",
    )  # fmt: skip

    def __init__(
        self, request: Request, executable: str, inputs: list[PlannedInput], stdin: Stdin, programs: dict[str, str]
    ) -> None:
        self.request = request
        self.executable = executable
        self.executable_checksum = ""
        self.programs = programs
        self.program_checksums: dict[str, str] = {}
        self.software: str | None = None
        self.installed = b""
        self.environment: NamedEnvironment | None = None
        self.inputs = inputs
        self.stdin = stdin
        self.order: dict[str, int] = {}
        self.around: dict[str, str] = {}
        self.sought: Sought | None = None
        self.record: dict[str, object] = {}
        self.data = b""
        self.transformation = ""

    def identify(self, stdin: str | None) -> None:
        """Set record and transformation, with what counts as the standard input."""
        self.record = command_record(
            self.request.argv,
            executable=self.executable_checksum,
            programs=self.program_checksums,
            software=self.software,
            inputs=self.inputs,
            stdin=stdin,
            outputs=self.request.output_paths,
            variables=self.request.variables,
            order=order_checksum(self.inputs, self.order) if self.order else None,
            there=self.request.there,
        )
        self.transformation, self.data = identify(self.record)

    def variables(self, search: str | None = None) -> dict[str, str]:
        """Return what is set for the command besides what every command finds; `search` is the usual ``PATH``."""
        named = {} if self.environment is None else self.environment.variables(search)
        return {**self.around, **named, **self.request.variables}

    def newest(self) -> int:
        """Return when the newest of the inputs was modified, in nanoseconds; 0 where there is none."""
        return max(modification_times(self.inputs).values(), default=0)

    @property
    def is_staged(self) -> bool:
        """Whether it needs a scratch directory of its own: for inputs, outputs or a standard input."""
        own = self.request.outputs or self.request.scratch or self.stdin.identity is not None
        return bool(own) or any(not item.in_place for item in self.inputs)

    def in_place(self) -> list[PlannedInput]:
        """Return the inputs that are read by their absolute paths."""
        return [item for item in self.inputs if item.in_place]
