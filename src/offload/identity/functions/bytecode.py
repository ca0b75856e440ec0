"""What a code object does, without where it stands: the normal form of bytecode and the names that it reads.

Comments, blank lines, formatting, docstrings, line numbers and file names leave no trace in the normal form. It is
taken from the code object that would run, not from source text, so a file edited after its import, code typed at a
prompt and code from ``exec`` are all right.
"""

from __future__ import annotations

import opcode
from bisect import bisect_left
from hashlib import sha256
from types import CodeType

from offload.identity.functions.computed_names import BY_NAME, MODULES, constant_name
from offload.identity.functions.instructions import JUMPS, NAME_FLAGS, Instruction, instructions
from offload.identity.values.encode import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# The flags that change what a call does: *args, **kwargs, generators, coroutines.
_FLAGS = 0x04 | 0x08 | 0x20 | 0x80 | 0x100 | 0x200

_GLOBAL = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
_FREE = {"LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF"}
_LOCAL = {"LOAD_FAST", "LOAD_FAST_CHECK", "LOAD_FAST_BORROW"}
_HAS_PAIRS = any(name.count("_FAST") == 2 for name in opcode.opmap)
_STORE = {"STORE_FAST", "STORE_DEREF", "STORE_NAME"}
_ATTRIBUTE = {"LOAD_ATTR", "LOAD_METHOD"}
_ASSIGNED = {"STORE_ATTR", "DELETE_ATTR"}
_TEXTS = (str, tuple, frozenset)
_TRANSPARENT = {"NOP", "NOT_TAKEN"}
# Names that the compiler stores in a class body, and that say nothing about what the class does.
_NOT_COUNTED = {"__doc__", "__firstlineno__", "__module__", "__qualname__", "__static_attributes__"}


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
    """The digest of a code object's normal form, what it reads in order of first use, and all names in it.

    ``fixed`` tells for functions such as ``getattr``, where the code calls them, whether it always gives a constant
    name; ``constants`` are those that may hold strings.
    """

    __slots__ = ("constants", "digest", "fixed", "names", "reads")

    def __init__(
        self,
        normal: list[object],
        reads: list[Read],
        names: set[str],
        fixed: dict[str, bool],
        constants: tuple[object, ...],
    ) -> None:
        self.constants = constants
        self.digest = sha256(encode(normal)).hexdigest()
        self.reads = reads
        self.names = names
        self.fixed = fixed


_KNOWN: dict[int, tuple[CodeType, Code]] = {}


def inspect_code(code: CodeType) -> Code:
    """Return the normal form and the reads of `code`, nested code included; remembered for each code object."""
    known = _KNOWN.get(id(code))
    if known is None:
        known = _KNOWN[id(code)] = code, _Scan(code).result()
    return known[1]


def _counted(instructions: list[Instruction]) -> list[Instruction]:
    """Return the instructions without those that only name a class, its module and its docstring."""
    kept: list[Instruction] = []
    for instruction in instructions:
        if (
            instruction.opname == "STORE_NAME"
            and instruction.argval in _NOT_COUNTED
            and kept
            and (kept[-1].opcode in opcode.hasconst or kept[-1].argval == "__name__")
        ):
            kept.pop()
        else:
            kept.append(instruction)
    return kept


def _single(instruction: Instruction) -> list[Instruction]:
    """Take apart an instruction for two variables, which the compiler makes of two that stand on one line."""
    name = instruction.opname
    if name.count("_FAST") != 2 or not isinstance(instruction.argval, tuple):
        return [instruction]
    first, second = name[: name.index("_FAST") + 5], name[name.index("_FAST") + 6 :]
    number = instruction.arg or 0
    return [
        Instruction(opcode.opmap[opname], opname, arg, variable, instruction.offset)
        for opname, arg, variable in zip((first, second), (number >> 4, number & 15), instruction.argval, strict=True)
    ]


def _handlers(code: CodeType) -> list[Any]:
    """Return the entries of a code object's table of exceptions."""
    if not code.co_exceptiontable:
        return []
    import dis

    entries: list[Any] = dis.Bytecode(code).exception_entries  # type: ignore[attr-defined]
    return entries


class _Scan:
    """One pass over the instructions of a code object."""

    def __init__(self, code: CodeType) -> None:
        self.code = code
        self.reads: dict[tuple[str, str, int, tuple[str, ...]], Read] = {}
        self.modules: dict[str, Read] = {}  # local variables that an import in this code binds
        self.pending: Read | None = None  # a read whose attributes may still follow
        self.imported = Read("import", "")  # the module on the stack while names are taken from it
        self.names: set[str] = set()  # of nested code
        self.texts: list[object] = []
        self.fixed: dict[str, bool] = {}
        self.inner: list[Read] = []  # what nested code reads of this code's variables

    def result(self) -> Code:
        code = self.code
        every = [i for i in instructions(code) if i.opname not in _TRANSPARENT]
        if _HAS_PAIRS:
            every = [single for i in every for single in _single(i)]
        kept = _counted(every)
        offsets = [instruction.offset for instruction in kept]
        operations = bytearray()
        # Numbered by first use: a docstring, which no instruction loads, shifts nothing.
        constants: dict[int, int] = {}
        names: dict[str, int] = {}
        named: set[str] = set()  # but for attributes that are only assigned: these are not asked for
        for index, instruction in enumerate(kept):
            argument = instruction.arg or 0
            if instruction.opcode in opcode.hasconst:
                if (
                    argument not in constants
                    and type(instruction.argval) in _TEXTS
                    and instruction.opname != "KW_NAMES"
                ):
                    self.texts.append(instruction.argval)
                argument = constants.setdefault(argument, len(constants))
            elif instruction.opcode in opcode.hasname:
                flags = argument & NAME_FLAGS.get(instruction.opname, 0)
                argument = names.setdefault(instruction.argval, len(names)) << 2 | flags
                if instruction.opname not in _ASSIGNED:
                    named.add(instruction.argval)
            elif instruction.opcode in JUMPS:
                argument = bisect_left(offsets, instruction.argval)
            operations.append(instruction.opcode)
            operations += argument.to_bytes(4, "big")
            self.follow(instruction, kept[max(0, index - 2) : index])
        self.flush()
        if self.modules:  # once more, since in a loop a use may stand before its import
            for index, instruction in enumerate(kept):
                self.follow(instruction, kept[max(0, index - 2) : index])
            self.flush()
        handlers = [
            [*(bisect_left(offsets, offset) for offset in (entry.start, entry.end, entry.target)), entry.depth]
            for entry in _handlers(code)
        ]
        normal: list[object] = [
            code.co_name,
            code.co_argcount,
            code.co_posonlyargcount,
            code.co_kwonlyargcount,
            code.co_flags & _FLAGS,
            bytes(operations),
            list(names),
            list(code.co_varnames),
            list(code.co_freevars),
            list(code.co_cellvars),
            handlers,
            [self.constant(code.co_consts[index]) for index in constants],
        ]
        for read in self.inner:
            if read.name in self.modules:
                self.add(self.modules[read.name].then(*read.attributes))
        for index, instruction in enumerate(kept):
            name = instruction.argval
            if instruction.opname.startswith("LOAD") and type(name) is str and name in BY_NAME:
                if name in MODULES and instruction.opname in _ATTRIBUTE and kept[index - 1].argval != MODULES[name]:
                    continue
                targets = {i.argval for i in kept if i.opcode in JUMPS}.union(e.target for e in _handlers(code))
                self.call_by_name(name, constant_name(kept, index, targets))
        return Code(normal, list(self.reads.values()), self.names.union(named), self.fixed, tuple(self.texts))

    def call_by_name(self, function: str, name: str | None) -> None:
        """Note a call of ``getattr`` or its like: what it names, where that is a constant."""
        self.fixed[function] = self.fixed.get(function, True) and name is not None
        if name is not None and function == "getattr":
            self.names.add(name)
        elif name and function in MODULES:
            first, *rest = name.replace(":", ".").split(".")
            self.add(Read("import", first, tuple(rest)))
        elif name:
            path = name.lstrip(".")  # a relative one is taken to be so to the package of this code
            level = len(name) - len(path)
            self.add(Read("load", path, (), level))
            self.add(Read("import", path if function == "import_module" else path.partition(".")[0], (), level))

    def constant(self, value: object) -> object:
        if not isinstance(value, CodeType):
            return [value]
        nested = inspect_code(value)
        self.names |= nested.names
        self.texts += nested.constants
        for function, constant in nested.fixed.items():
            self.fixed[function] = self.fixed.get(function, True) and constant
        for read in nested.reads:
            if read.kind != "free" or read.name in self.code.co_freevars:
                self.add(read)
            else:
                self.inner.append(read)
        return ["code", nested.digest]

    def follow(self, instruction: Instruction, before: list[Instruction]) -> None:
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
                # `try: import a as m` / `except: import b as m`: both count as a whole, since the order of the
                # instructions does not say which one a use of `m` meets.
                self.add(earlier)
                self.add(self.pending)
            self.modules[value] = self.pending
            self.pending = None
        elif name == "POP_TOP" and self.pending is self.imported:
            pass  # the module above, which the walk has left
        else:
            self.flush()
            self.start(name, value, before)

    def start(self, name: str, value: Any, before: list[Instruction]) -> None:
        """Begin a read, where the instruction begins one."""
        if name in _GLOBAL:
            self.pending = (self.modules.get(value) if name != "LOAD_GLOBAL" else None) or Read("global", value)
        elif name in _FREE:
            self.pending = self.modules.get(value) or (Read("free", value) if value in self.code.co_freevars else None)
        elif name in _LOCAL:
            self.pending = self.modules.get(value)
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
