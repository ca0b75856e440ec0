"""What a call has raised, in a form that travels: bytes that nobody on the way has to understand.

Only who asked for the call has its classes, so a service passes it on as it is.
"""

from __future__ import annotations

import contextlib
import copyreg
import io
import os
import pickle
import re
import sys
import traceback
from typing import Any

from offload.errors import OffloadError, WorkFailedError
from offload.identity.values.exceptions import builtin

NOTE = "\nraised in the worker:\n"
DEEPEST = 50  # causes of causes
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
# Who waits for a call must not end, or be cancelled, as if they had been told to themselves.
_ENDS = (SystemExit, KeyboardInterrupt, GeneratorExit)
_ADDRESS = re.compile("0x[0-9a-f]+")
_CHAIN = ("__cause__", "__context__")


class Raised:
    """An exception on its way.

    Attributes
    ----------
    name, said : str
        Its class and its text, for those who cannot make it.
    notes : list of str
        Its notes; the last says where it was raised.
    ways : list of bytes
        Pickled ways to make it, the best one first.
    chain : dict
        What its ``__cause__`` and ``__context__`` are.
    hides : bool
        Whether its context is not shown.
    members : list of Raised
        Of a group, what it holds.
    """

    __slots__ = ("chain", "hides", "members", "name", "notes", "said", "ways")

    def __init__(self, error: BaseException, _above: tuple[BaseException, ...] = ()) -> None:
        above = (*_above, error)
        self.chain: dict[str, Raised] = {}
        for which in _CHAIN:
            other = getattr(error, which)
            if other is not None and len(above) < DEEPEST and not any(other is one for one in above):
                self.chain[which] = Raised(other, above)
        self.hides = error.__suppress_context__
        self.notes = _notes(error)
        if not _above and (isinstance(error, _ENDS) or _is_cancelled(error)):
            error = WorkFailedError(_ended(error))
        self.name, self.said = _name(type(error)), _text(error)
        self.members: list[Raised] = []
        self.ways = []
        if isinstance(error, BaseExceptionGroup):
            self.members = [Raised(one, above) for one in error.exceptions]
            self.ways = [way for way in (_way((type(error), (error.message,), (), {})),) if way is not None]
        else:
            self.ways = _ways(error)

    def rebuilt(self) -> BaseException:
        """Return the exception; where it cannot be made here, another one that names its class and gives its text."""
        error = self._made()
        with contextlib.suppress(Exception):  # a class may forbid to set anything
            if self.notes:
                error.__notes__ = list(self.notes)
        for which, other in self.chain.items():
            setattr(error, which, other.rebuilt())
        error.__suppress_context__ = self.hides
        return error

    def _made(self) -> BaseException:
        members, other = [one.rebuilt() for one in self.members], None
        for way in self.ways:
            try:
                made: Any = _Unpickler(io.BytesIO(way)).load()
                error = made if isinstance(made, BaseException) else _new(members, *made)
            except BaseException:  # whatever a class of the user's raises as it is made
                continue
            if members or _same(_text(error), self.said):
                return error
            other = other or error
        if other is not None:
            self.notes.insert(0, f"its text in the worker: {self.said}")
            return other
        failed = WorkFailedError(f"{self.name}: {self.said}" if self.said else self.name)
        return BaseExceptionGroup(failed.message, members) if members else failed


class CarriedError(OffloadError):
    """Calls have failed by something that only who asked for them can make.

    Attributes
    ----------
    raised : Raised
        What it is.
    """

    def __init__(self, raised: Raised) -> None:
        super().__init__(f"{raised.name}: {raised.said}")
        self.raised = raised


def _new(
    members: list[BaseException],
    kind: type[BaseException],
    made_of: tuple[Any, ...],
    args: tuple[Any, ...],
    state: dict[str, Any],
) -> BaseException:
    """Make an exception without its class' own constructor, which may take other arguments than `args` holds."""
    if members:
        return kind.__new__(kind, *made_of, members)
    rebuilt = kind.__new__(kind, *made_of)
    builtin(kind).__init__(rebuilt, *made_of)
    rebuilt.args = args
    for name, value in state.items():
        object.__setattr__(rebuilt, name, value)
    return rebuilt


def _ways(error: BaseException) -> list[bytes]:
    """Return the ways to make an exception that work in this process."""
    kind = type(error)
    reduced: Any = builtin(kind).__reduce__(error)  # knows what an OSError or ImportError has besides
    made_of: tuple[Any, ...] = reduced[1]
    state: dict[str, Any] = {**vars(error), **(reduced[2] if len(reduced) > 2 and reduced[2] else {})}
    state.pop("__notes__", None)
    slots = {
        name: getattr(error, name)
        for name in copyreg._slotnames(kind)  # type: ignore[attr-defined]
        if hasattr(error, name)
    }
    plain = _way((kind, made_of, error.args, state | slots))
    found = [way for way in ((plain, _way(error)) if slots else (_way(error), plain)) if way is not None]
    if not found:  # without what cannot be pickled, such as a lock
        made_of, args = (tuple(v if _way(v) is not None else repr(v) for v in some) for some in (made_of, error.args))
        rest = {name: value for name, value in (state | slots).items() if _way(value) is not None}
        found = [way for way in (_way((kind, made_of, args, rest)),) if way is not None]
    return found


def _way(value: object) -> bytes | None:
    try:
        file = io.BytesIO()
        _pickler()(file, protocol=5).dump(value)
        data = file.getvalue()
        _Unpickler(io.BytesIO(data)).load()
    except Exception:  # pickling of what users have made may raise anything
        return None
    return data


def _pickler() -> Any:
    from offload.identity.values.pickled_code import CodePickler

    class Pickler(CodePickler):
        """Pickles exceptions as they are, with their classes by name, and by value for those who know none of it."""

        def reducer_override(self, value: Any) -> Any:
            # A library (tblib) may have put its own way for all exceptions in place, which loses what they hold.
            if isinstance(value, BaseException) and _is_of_a_library(copyreg.dispatch_table.get(type(value))):
                return value.__reduce_ex__(5)
            return super().reducer_override(value)

        def persistent_id(self, value: Any) -> Any:
            if isinstance(value, type) and issubclass(value, BaseException) and value.__module__ != "builtins":
                return *_place(value), _by_value(OfClass, value)
            return None

    class OfClass(CodePickler):
        """Pickles a class of exceptions by value, but for its bases: who catches one of these has it by its name."""

        def __init__(self, file: io.BytesIO, kind: type) -> None:
            super().__init__(file, protocol=5)
            self._bases = kind.__mro__[1:]

        def persistent_id(self, value: Any) -> Any:
            if not isinstance(value, type) or value not in self._bases or value.__module__ == "builtins":
                return None
            return *_place(value), _by_value(OfClass, value)

    return Pickler


def _by_value(pickler: Any, kind: type) -> bytes:
    """Return a pickled class; nothing where what it reaches cannot be pickled: it may be known by name."""
    try:
        file = io.BytesIO()
        pickler(file, kind).dump(kind)
        return file.getvalue()
    except Exception:  # pickling of what users have made may raise anything
        return b""


class _Unpickler(pickle.Unpickler):
    def persistent_load(self, pid: Any) -> Any:
        """Return a class: the one that this process has, or else one that is made of what came."""
        module, name, data = pid
        found: Any = sys.modules.get(module)
        for part in name.split("."):
            found = getattr(found, part, None)
        if not isinstance(found, type) or not issubclass(found, BaseException):
            found = _Unpickler(io.BytesIO(data)).load()
            found.__qualname__ = name
        return found


def _place(kind: type) -> tuple[str, str]:
    """Return the module that has a class, and the name by which it does."""
    from offload.identity.functions.holders import holder

    found: Any = sys.modules.get(kind.__module__)
    for part in kind.__qualname__.split("."):
        found = getattr(found, part, None)
    return (None if found is kind else holder(kind)) or (kind.__module__, kind.__qualname__)


def _is_of_a_library(reduce: Any) -> bool:
    return reduce is not None and getattr(reduce, "__module__", "").startswith("tblib")


def _is_cancelled(error: BaseException) -> bool:
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and isinstance(error, asyncio.CancelledError)


def _ended(error: BaseException) -> str:
    """Say how a function has asked its process to end."""
    if isinstance(error, SystemExit):
        return f"the function called sys.exit({'' if error.code is None else repr(error.code)})"
    return f"the function raised {type(error).__name__}{f': {error}' if str(error) else ''}"


def _same(text: str, said: str) -> bool:
    """Tell whether two texts are the same but for addresses in memory."""
    return text == said or _ADDRESS.sub("", text) == _ADDRESS.sub("", said)


def _name(kind: type) -> str:
    where = "" if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}."
    return f"{where}{kind.__qualname__}"


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as exc:  # a user's __str__
        return f"(its text cannot be had: {type(exc).__name__})"


def _notes(error: BaseException) -> list[str]:
    """Return the notes of an exception, and one that shows where it was raised, without frames of offload's own."""
    own = getattr(error, "__notes__", ())
    notes = [str(note) for note in own] if isinstance(own, (list, tuple)) else []
    inner = [note for note in notes if note.startswith(NOTE)]  # it has come from a call within this one
    try:
        frames = traceback.extract_tb(error.__traceback__)
        shown = traceback.StackSummary.from_list([f for f in frames if not f.filename.startswith(_PACKAGE)])
        where = "".join(shown.format()).rstrip("\n")
    except Exception:  # a source file that cannot be read, or an odd loader
        where = ""
    text = "\n".join([where, *(note.removeprefix(NOTE) for note in inner)]).strip("\n")
    return [note for note in notes if note not in inner] + ([NOTE + text] if text else [])
