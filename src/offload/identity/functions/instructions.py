"""The instructions of a code object, with no more than counts; :mod:`dis` takes long to make texts for people."""

from __future__ import annotations

import opcode as opcodes
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType
    from typing import Any

# Low bits of an argument that are not part of the number of a name.
NAME_FLAGS = {"LOAD_GLOBAL": 1, "LOAD_SUPER_ATTR": 3, "LOAD_ATTR": 1 if sys.version_info >= (3, 12) else 0}
JUMPS = frozenset((*opcodes.hasjrel, *opcodes.hasjabs))
_KNOWN = (3, 11) <= sys.version_info < (3, 14)  # for others, `dis` knows
_OVER_CACHES = sys.version_info >= (3, 12)
_CACHE, _EXTENDED = 0, opcodes.opmap["EXTENDED_ARG"]
_TAKES_ARGUMENT = frozenset(getattr(opcodes, "hasarg", range(opcodes.HAVE_ARGUMENT, 256)))
_CONSTANTS = frozenset(opcodes.hasconst)
_SHIFTS = {code: NAME_FLAGS.get(opcodes.opname[code], 0).bit_length() for code in opcodes.hasname}
_VARIABLES = frozenset((*opcodes.haslocal, *opcodes.hasfree))
_PAIRS = frozenset(code for code in opcodes.haslocal if opcodes.opname[code].count("_FAST") == 2)


class Instruction:
    """One instruction, by the names of :class:`dis.Instruction`."""

    __slots__ = ("arg", "argval", "offset", "opcode", "opname")

    def __init__(self, opcode: int, opname: str, arg: int | None, argval: Any, offset: int) -> None:
        self.opcode = opcode
        self.opname = opname
        self.arg = arg
        self.argval = argval
        self.offset = offset


def _cache_sizes() -> dict[int, int]:
    """Return how many units after a jump are its cache, over which it counts from Python 3.12 on."""
    anything: Any = opcodes
    sizes = anything._inline_cache_entries if _KNOWN and _OVER_CACHES else {}  # by number in 3.12, by name in 3.13
    real = (code for code in JUMPS if code < 256)
    return {code: sizes[code] if isinstance(sizes, list) else sizes.get(opcodes.opname[code], 0) for code in real}


_CACHES = _cache_sizes()


def instructions(code: CodeType) -> Iterator[Instruction]:
    """Yield the instructions of a code object, without prefixes and caches.

    Examples
    --------
    >>> [(i.opname, i.argval) for i in instructions((lambda x: x.real).__code__) if i.opname.startswith("LOAD")]
    [('LOAD_FAST', 'x'), ('LOAD_ATTR', 'real')]
    """
    if not _KNOWN:
        import dis

        for one in dis.get_instructions(code):
            if one.opname not in ("CACHE", "EXTENDED_ARG"):
                yield Instruction(one.opcode, one.opname, one.arg, one.argval, one.offset)
        return
    data, constants, names, opnames = code.co_code, code.co_consts, code.co_names, opcodes.opname
    anything: Any = code
    variable = anything._varname_from_oparg
    extended = 0
    for offset in range(0, len(data), 2):
        opcode = data[offset]
        if opcode == _CACHE:
            continue
        if opcode == _EXTENDED:
            extended = (extended | data[offset + 1]) << 8
            continue
        if opcode not in _TAKES_ARGUMENT:
            extended = 0
            yield Instruction(opcode, opnames[opcode], None, None, offset)
            continue
        argument = data[offset + 1] | extended
        extended = 0
        value: Any = argument
        if opcode in _CONSTANTS:
            value = constants[argument]
        elif opcode in _SHIFTS:
            value = names[argument >> _SHIFTS[opcode]]
        elif opcode in _PAIRS:
            value = variable(argument >> 4), variable(argument & 15)
        elif opcode in _VARIABLES:
            value = variable(argument)
        elif opcode in JUMPS:
            steps = -argument if "JUMP_BACKWARD" in opnames[opcode] else argument
            value = offset + 2 * (1 + steps + _CACHES.get(opcode, 0))
        yield Instruction(opcode, opnames[opcode], argument, value, offset)
