"""Calls that get hold of something by a name: is the name a constant, which can be followed, or computed?"""

from __future__ import annotations

import opcode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container

    from offload.identity.functions.instructions import Instruction

# Which argument is the name.
BY_NAME = {"getattr": 1, "__import__": 0, "import_module": 0, "locate": 0, "resolve_name": 0}
# Of these the module has to be named, too: other things have methods of the same name.
MODULES = {"locate": "pydoc", "resolve_name": "pkgutil"}
_CALL = "PRECALL" if "PRECALL" in opcode.opmap else "CALL"  # the first that knows of the arguments
_LOADS = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_ATTR", "LOAD_METHOD", "LOAD_DEREF", "LOAD_FAST"}


def constant_name(instructions: list[Instruction], index: int, targets: Container[int]) -> str | None:
    """Return the constant by which a call names what it gets, or None where it is computed.

    Parameters
    ----------
    instructions : list of Instruction
        Of the code.
    index : int
        Of the one that loads one of the functions in `BY_NAME`.
    targets : set of int
        The offsets that are jumped to.
    """
    start = instructions[index]
    if start.opname not in _LOADS:
        return None
    stack: list[str | None] = []  # above the function: the constants among its arguments
    number = index + 1
    while number < len(instructions):
        instruction = instructions[number]
        number += 1
        name = instruction.opname
        if instruction.offset in targets and stack:
            stack[-1] = None  # one of two values
        if name in ("PUSH_NULL", "KW_NAMES"):
            continue
        if name == _CALL and instruction.arg == len(stack):
            return [*stack, None, None][BY_NAME[start.argval]]
        if name == "JUMP_FORWARD":  # to the end of a conditional expression, over its other value
            target = instruction.argval
            number = next((n for n, one in enumerate(instructions) if one.offset >= target), len(instructions))
            if stack:
                stack[-1] = None
            continue
        size = len(stack) + opcode.stack_effect(instruction.opcode, instruction.arg, jump=False)
        if size < 0 or name.startswith(("RETURN", "JUMP_BACKWARD")):
            return None
        grows = size > len(stack)
        if name == "LOAD_METHOD" and stack:
            stack[-1] = None
        stack = stack[:size] + [None] * (size - len(stack))
        if instruction.opcode in opcode.hasconst and grows:
            stack[-1] = instruction.argval if isinstance(instruction.argval, str) else None
        elif stack and not name.startswith(("POP", "STORE")) and name != "PRECALL":
            stack[-1] = None
    return None
