"""What a code object does, without where it stands: the normal form of bytecode and the names that it reads.

Comments, blank lines, formatting, docstrings, line numbers and file names leave no trace in the normal form. It is
taken from the code object that would run, not from source text, so a file edited after its import, code typed at a
prompt and code from ``exec`` are all right.
"""

from __future__ import annotations

import dis
from types import CodeType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# The flags that change what a call does: *args, **kwargs, generators, coroutines.
_FLAGS = 0x04 | 0x08 | 0x20 | 0x80 | 0x100 | 0x200

_GLOBAL = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
_FREE = {"LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF"}
_LOCAL = {"LOAD_FAST", "LOAD_FAST_CHECK", "LOAD_FAST_BORROW"}
_STORE = {"STORE_FAST", "STORE_DEREF", "STORE_NAME"}
_ATTRIBUTE = {"LOAD_ATTR", "LOAD_METHOD"}
_TRANSPARENT = {"CACHE", "EXTENDED_ARG", "NOP", "NOT_TAKEN"}
# Names that the compiler stores in a class body, and that say nothing about what the class does.
_NOT_COUNTED = {"__doc__", "__firstlineno__", "__qualname__", "__static_attributes__"}


class Read:
    """One thing that code reads from outside itself: a root and the attributes taken from it.

    Attributes
    ----------
    kind : str
        ``"global"``, ``"free"`` (a closure variable), ``"import"`` (a module bound by an import inside the code) or
        ``"load"`` (a module that such an import loads, whatever is read of it).
    name : str
        The variable's name, or the module's.
    level : int
        For imports, the number of leading dots.
    attributes : tuple of str
        The chain after it: ``config.limits.RATE`` reads ``("limits", "RATE")`` from ``config``.
    """

    __slots__ = ("attributes", "kind", "level", "name")

    def __init__(self, kind: str, name: str, attributes: tuple[str, ...] = (), level: int = 0) -> None:
        self.kind = kind
        self.name = name
        self.attributes = attributes
        self.level = level

    def then(self, *attributes: str) -> Read:
        """Return the read of further attributes of this one."""
        return Read(self.kind, self.name, self.attributes + attributes, self.level)

    @property
    def key(self) -> tuple[str, str, int, tuple[str, ...]]:
        """What tells two reads apart."""
        return self.kind, self.name, self.level, self.attributes


class Code:
    """The normal form of a code object and, in order of first use, what it reads."""

    __slots__ = ("normal", "reads")

    def __init__(self, normal: list[object], reads: list[Read]) -> None:
        self.normal = normal
        self.reads = reads


_KNOWN: dict[int, tuple[CodeType, Code]] = {}


def inspect_code(code: CodeType) -> Code:
    """Return the normal form and the reads of `code`, nested code included; remembered for each code object."""
    known = _KNOWN.get(id(code))
    if known is None:
        known = _KNOWN[id(code)] = code, _Scan(code).result()
    return known[1]


class _Scan:
    """One pass over the instructions of a code object."""

    def __init__(self, code: CodeType) -> None:
        self.code = code
        self.reads: dict[tuple[str, str, int, tuple[str, ...]], Read] = {}
        self.modules: dict[str, Read] = {}  # local variables that an import in this code binds
        self.pending: Read | None = None  # a read whose attributes may still follow
        self.imported = Read("import", "")  # the module on the stack while names are taken from it

    def result(self) -> Code:
        code = self.code
        operations = bytearray()
        constants: list[object] = []
        instructions = [i for i in dis.get_instructions(code) if i.opname not in _TRANSPARENT]
        positions: dict[int, int] = {}
        for index, instruction in enumerate(instructions):
            argument = instruction.arg or 0
            following = instructions[index + 1] if index + 1 < len(instructions) else None
            ignored = following is not None and following.opname == "STORE_NAME" and following.argval in _NOT_COUNTED
            if ignored:
                argument = 0
            elif instruction.opcode in dis.hasconst:
                # Numbered by first use: a docstring, which no instruction loads, shifts nothing.
                if argument not in positions:
                    positions[argument] = len(constants)
                    constants.append(self.constant(code.co_consts[argument]))
                argument = positions[argument]
            operations.append(instruction.opcode)
            operations += argument.to_bytes(4, "big")
            self.follow(instruction, instructions[max(0, index - 2) : index])
        self.flush()
        normal: list[object] = [
            code.co_name,
            code.co_argcount,
            code.co_posonlyargcount,
            code.co_kwonlyargcount,
            code.co_flags & _FLAGS,
            bytes(operations),
            list(code.co_names),
            list(code.co_varnames),
            list(code.co_freevars),
            list(code.co_cellvars),
            code.co_exceptiontable,
            constants,
        ]
        return Code(normal, list(self.reads.values()))

    def constant(self, value: object) -> object:
        if not isinstance(value, CodeType):
            return [value]
        nested = inspect_code(value)
        for read in nested.reads:
            if read.kind != "free" or read.name in self.code.co_freevars:
                self.add(read)
            elif read.name in self.modules:
                self.add(self.modules[read.name].then(*read.attributes))
        return ["code", nested.normal]

    def follow(self, instruction: dis.Instruction, before: list[dis.Instruction]) -> None:
        """Note what an instruction reads, given the two before it."""
        name, value = instruction.opname, instruction.argval
        if name in _ATTRIBUTE and self.pending is not None:
            self.pending = self.pending.then(value)
        elif name == "IMPORT_FROM":
            self.pending = self.imported.then(value)
        elif name == "SWAP" and self.pending is not None and self.pending.kind == "import":
            self.imported = self.pending  # `import a.b.c as d` walks down from `a`
        elif name in _STORE and self.pending is not None and self.pending.kind == "import":
            earlier = self.modules.get(value)
            if earlier is not None and earlier.key != self.pending.key:
                self.add(earlier)  # `try: import a as m` / `except: import b as m`: the first counts as a whole
            self.modules[value] = self.pending
            self.pending = None
        elif name == "POP_TOP" and self.pending is self.imported:
            self.pending = None
        else:
            self.flush()
            self.start(name, value, before)

    def start(self, name: str, value: Any, before: list[dis.Instruction]) -> None:
        """Begin a read, where the instruction begins one."""
        if name in _GLOBAL:
            self.pending = Read("global", value)
        elif name in _FREE:
            self.pending = self.modules.get(value) or (Read("free", value) if value in self.code.co_freevars else None)
        elif name in _LOCAL:
            self.pending = self.modules.get(value)
        elif isinstance(value, tuple) and "FAST" in name:  # two variables loaded at once
            for variable in value:
                self.flush()
                self.pending = self.modules.get(variable)
        elif name == "IMPORT_NAME":
            level, names = (i.argval for i in before)
            self.add(Read("load", value, (), level))
            # `import a.b` gives `a`, `from a.b import c` gives `a.b`.
            self.imported = Read("import", value if names else value.partition(".")[0], (), level)
            if not names:
                self.pending = self.imported

    def flush(self) -> None:
        if self.pending is not None:
            self.add(self.pending)
            self.pending = None

    def add(self, read: Read) -> None:
        self.reads.setdefault(read.key, read)
