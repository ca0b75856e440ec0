"""Names for what is found in modules: functions, classes, modules and other globals; and the way back."""

from __future__ import annotations

import importlib
import sys
from types import MethodType, ModuleType

from offload.errors import DecodeError, EncodeError
from offload.identity.inspection import attributes
from offload.identity.libraries.distributions import PROJECT, origin
from offload.identity.values.globals import is_plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from offload.identity.functions.graph import Graph


# They guard and tell, and have no part in the result. Loggers are mostly named by __name__, which a script changes.
# Of the environment, `os.environ` does not count, so neither does `from os import environ`.
_SILENT = {
    ("_thread", "lock"),
    ("_thread", "RLock"),
    ("logging", "Logger"),
    ("logging", "RootLogger"),
    ("os", "_Environ"),
    ("IPython.core.interactiveshell", "InteractiveShell"),  # by which `!command` in a cell runs the command
    ("IPython.terminal.interactiveshell", "TerminalInteractiveShell"),
    ("ipykernel.zmqshell", "ZMQInteractiveShell"),
    ("google.colab._shell", "Shell"),
}


def is_silent(cls: type) -> bool:
    """Tell whether instances of a class do not count where code reaches them."""
    return (cls.__module__, cls.__name__) in _SILENT


def reference_name(value: Any) -> tuple[str, str]:
    """Return ``module:qualname`` of a class, function or module, and its module.

    A script's ``__main__`` goes by the name under which it could be imported.
    """
    if isinstance(value, ModuleType):
        return f"{importable(value.__name__)}:", value.__name__
    module = getattr(value, "__module__", None) or "builtins"
    return f"{importable(module)}:{value.__qualname__}", module


def importable(module_name: str) -> str:
    """Return the name of a module; of a script's ``__main__``, that under which it could be imported."""
    if module_name != "__main__":
        return module_name
    main = sys.modules["__main__"]
    spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
    if spec is not None:
        return str(spec.name.removesuffix(".__main__"))
    return file.replace("\\", "/").rpartition("/")[2].removesuffix(".py") if file else module_name


def find(name: str, load: bool = True) -> Any:
    """Return what ``module:qualname`` names here, or None; without `load`, only of what is imported already."""
    module_name, _, path = name.partition(":")
    module = sys.modules["__main__"] if module_name == importable("__main__") else sys.modules.get(module_name)
    if module is None:
        if not load:
            return None
        try:
            module = importlib.import_module(module_name)
        except ImportError:
            return None
    found: Any = module
    for part in path.split(".") if path else ():
        found = getattr(found, part, None)
    return found


def module_of(value: Any, name: str) -> str:
    """Return the module that holds a global which does not tell its own."""
    package = type(value).__module__
    for module in (package, package.partition(".")[0], *list(sys.modules)):
        if module != "__main__" and getattr(sys.modules.get(module), name, None) is value:
            return module
    raise EncodeError(f"{name}, a {type(value).__qualname__}, is not to be found in any module")


def find_global(module: str, name: str, *counted: object) -> Any:
    """Return a global by its name; the counterpart of objects that are pickled so.

    What is `counted` makes up its identity where the name alone does not.
    """
    found = find(f"{module}:{name}")
    if found is None:
        raise DecodeError(f"{module}.{name} is not to be found here")
    return found


def curried(cls: Any, function: Any, arguments: Any, keywords: Any) -> Any:
    """Return a curried function of toolz."""
    return cls(function, *arguments, **keywords)


def bound_method(function: Callable[..., Any], instance: Any) -> Any:
    """Return a method of an instance."""
    return MethodType(function, instance)


def named_objects() -> dict[int, str]:
    """Return the names of the bare objects, made by ``object()``, that modules and their classes hold, by their ids."""
    found = {id(one): name for name, one in _stand_ins.items() if type(one) is object}
    for module_name, module in list(sys.modules.items()):
        names = getattr(module, "__dict__", None)
        if not isinstance(module, ModuleType) or not names or names.get("__name__") != module_name:
            continue  # a second name, such as `__mp_main__`, as multiprocessing calls the program, too
        for name, held in list(names.items()):
            full = f"{importable(module_name)}:{name}"
            if type(held) is object:
                found[id(held)] = min(full, found.get(id(held), full))
            elif type(held) is type and held.__module__ == module_name:
                for inner, one in list(vars(held).items()):
                    if type(one) is object:
                        found.setdefault(id(one), f"{full}.{inner}")
    return found


_stand_ins: dict[str, object] = {}  # for objects of another process, which are nothing but themselves


def name_of_sentinel(value: Any) -> str | None:
    """Return the name of an object of which nothing counts but which one it is, or None."""
    cls = type(value)
    if cls is object:
        return named_objects().get(id(value))
    equality: Any = cls.__eq__
    if equality is not object.__eq__ or not is_plain(cls) or attributes(value):
        return None
    module = str(cls.__module__)
    held = getattr(sys.modules.get(module), "__dict__", {})
    return next((f"{importable(module)}:{name}" for name, one in list(held.items()) if one is value), None)


def stand_in(name: str, cls: Any = object) -> Any:
    """Return what a name stands for in another process: the same here, or always the same one in its place."""
    found = _stand_ins.get(name)
    if found is None:
        found = find(name, load=cls is not object and origin(cls.__module__) != PROJECT)
        if type(found) is not cls:
            found = _stand_ins[name] = cls.__new__(cls)
    return found


class Names:
    """Under which names objects are found: those that code reaches in modules and classes, and those beside a class.

    Parameters
    ----------
    graph : Graph
        Of the code.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph: Graph | None = graph
        self._modules: set[str] = set()
        self._found: dict[int, str] = {}

    def of(self, value: Any) -> str | None:
        """Return the name of a value, or None."""
        if self._graph is not None:
            self._look(self._graph)
            self._graph = None
        module = type(value).__module__
        if module not in self._modules and module != "builtins":
            self._modules.add(module)
            for name, held in list(vars(sys.modules.get(module) or object).items()):
                self._found.setdefault(id(held), f"{importable(module)}:{name}")
        found = self._found.get(id(value))
        if found is None and type(value) is object:
            return named_objects().get(id(value))
        return found or next((name for name, one in _stand_ins.items() if one is value), None)

    def _look(self, graph: Graph) -> None:
        for names, name, held in graph._names:
            module = names.get("__name__")
            if type(module) is str and type(name) is str:
                self._found.setdefault(id(held), f"{importable(module)}:{name}")
        for node in graph.nodes:
            if node.kind == "class" and isinstance(node.subject, type):
                full, _ = reference_name(node.subject)
                for name, held in vars(node.subject).items():
                    self._found.setdefault(id(held), f"{full}.{name}")


def standing(name: str, value: Any) -> Any:
    """Return the global of a name where it is the same as a value that was found there, else that value."""
    from offload.identity.values.encode import encode

    found = _stand_ins.get(name) or find(name, load=False)
    try:
        return found if type(found) is type(value) and encode(found) == encode(value) else value
    except EncodeError:  # it leads back to itself, or holds what has no encoding
        return value


def global_generator(value: Any) -> tuple[str, str] | None:
    """Return where NumPy keeps its global generator, if this is it.

    Objects that hold it (all distributions of SciPy) hold that one in each process, whatever its state.
    """
    module, name = "numpy.random.mtrand", "_rand"
    return (module, name) if value is getattr(sys.modules.get(module), name, None) else None
