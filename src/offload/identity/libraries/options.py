"""The options of libraries: what counts of a library that is set to something else than its defaults."""

from __future__ import annotations

import os
import sys

from offload.identity.values.encode import identify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_PLAIN = (type(None), bool, int, float, str)


class Options:
    """The options of a library that differ from its defaults."""

    def __init__(
        self,
        options: Callable[[], dict[str, Any]],
        defaults: Callable[[], dict[str, Any]],
        set: Callable[[dict[str, Any]], None],
    ) -> None:
        self._options = options
        self._defaults = defaults
        self._set = set
        self._known: tuple[dict[str, Any], dict[str, Any] | None] | None = None

    def read(self) -> dict[str, Any] | None:
        """Return them, sorted; functions among them by their identity."""
        now = self._options()
        known = self._known
        if known is None or known[0] != now:
            defaults = self._defaults()
            found = {name: _plain(now[name]) for name in sorted(now) if not _equal(now[name], defaults.get(name))}
            known = self._known = dict(now), found or None
        return known[1]

    def set(self, value: dict[str, Any] | None) -> None:
        """Set them; all others to the defaults."""
        defaults, now = self._defaults(), self._options()
        self._set({name: (value or {}).get(name, defaults.get(name)) for name in now})


def _equal(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def _plain(value: Any) -> Any:
    """Return a plain value as it is; of all others, what tells them apart."""
    if type(value) in _PLAIN or (type(value) in (list, tuple) and all(type(one) in _PLAIN for one in value)):
        return value
    try:
        return ["made of", identify(value)]
    except Exception:  # whatever an option may hold
        return ["made of", type(value).__qualname__]


def _module(name: str) -> Any:
    return sys.modules[name]


_NUMPY_ERRORS = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}
_NUMPY_PRINT = {
    "edgeitems": 3, "threshold": 1000, "floatmode": "maxprec", "precision": 8, "suppress": False, "linewidth": 75,
    "nanstr": "nan", "infstr": "inf", "sign": "-", "formatter": None, "legacy": False, "override_repr": None,
}  # fmt: skip


def _set_numpy(values: dict[str, Any]) -> None:
    numpy = _module("numpy")
    numpy.seterr(**{name: values.pop(name) for name in _NUMPY_ERRORS})
    numpy.set_printoptions(**values)


def _pandas_options() -> dict[str, Any]:
    config = _module("pandas")._config.config
    return {
        name: config.get_option(name) for name in config._registered_options if name not in config._deprecated_options
    }


def _pandas_defaults() -> dict[str, Any]:
    return {name: one.defval for name, one in _module("pandas")._config.config._registered_options.items()}


class _Pandas(Options):
    """The options of pandas: so many that it takes long to ask for each."""

    def __init__(self) -> None:
        super().__init__(_pandas_options, _pandas_defaults, self._set_each)
        self._seen: dict[str, Any] | None = None

    def read(self) -> dict[str, Any] | None:
        """Return them, sorted."""
        held = _module("pandas")._config.config._global_config
        if held != self._seen:
            import copy

            self._seen = copy.deepcopy(held)
            super().read()
        assert self._known is not None
        return self._known[1]

    def _set_each(self, values: dict[str, Any]) -> None:
        config, now = _module("pandas")._config.config, _pandas_options()
        for name, value in values.items():
            if not _equal(now[name], value):
                config.set_option(name, value)


def _set_sklearn(values: dict[str, Any]) -> None:
    _module("sklearn").set_config(**values)


# How it works and how it is shown in a notebook; the rest changes results.
_NO_RESULT = {"display", "pairwise_dist_chunk_size", "print_changed_only", "working_memory"}


def _sklearn_options() -> dict[str, Any]:
    return {name: value for name, value in _module("sklearn").get_config().items() if name not in _NO_RESULT}


def _set_xarray(values: dict[str, Any]) -> None:
    _module("xarray").set_options(**values)


def _xarray_options() -> dict[str, Any]:
    options = dict(_module("xarray").get_options())
    return {name: value for name, value in options.items() if name in _XARRAY}


_XARRAY = {
    "arithmetic_broadcast": True, "arithmetic_compat": "minimal", "arithmetic_join": "inner",
    "enable_cftimeindex": True, "keep_attrs": "default",
}  # fmt: skip


def _torch_options() -> dict[str, Any]:
    torch = _module("torch")
    return {
        "dtype": str(torch.get_default_dtype()).removeprefix("torch."),
        "matmul": torch.get_float32_matmul_precision(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
    }


def _set_torch(values: dict[str, Any]) -> None:
    torch = _module("torch")
    torch.set_default_dtype(getattr(torch, values["dtype"]))
    torch.set_float32_matmul_precision(values["matmul"])
    torch.use_deterministic_algorithms(values["deterministic"])


_TORCH = {"dtype": "float32", "matmul": "highest", "deterministic": False}
_MPMATH = {"prec": 53, "trap_complex": False, "interval": 53}


def _mpmath_options() -> dict[str, Any]:
    mpmath = _module("mpmath")
    return {"prec": mpmath.mp.prec, "trap_complex": mpmath.mp.trap_complex, "interval": mpmath.iv.prec}


def _set_mpmath(values: dict[str, Any]) -> None:
    mpmath = _module("mpmath")
    mpmath.mp.prec, mpmath.mp.trap_complex, mpmath.iv.prec = values["prec"], values["trap_complex"], values["interval"]


def _matplotlib_options(held: str = "rcParams") -> dict[str, Any]:
    # As it lies there: asking for the backend would choose one.
    options = dict.items(getattr(_module("matplotlib"), held))
    return {name: _as_written(value) for name, value in options if name not in _OF_WINDOWS}


def _as_written(value: Any) -> Any:
    """Return a value of a style as it may be written in one: a cycle of colours as a text."""
    if isinstance(value, str):
        return str.__str__(value)  # some are members of an enumeration
    if isinstance(value, list | tuple):
        return [_as_written(one) for one in value]
    return value if type(value) in _PLAIN else repr(value)


def _set_matplotlib(values: dict[str, Any]) -> None:
    params = _module("matplotlib").rcParams
    now = _matplotlib_options()
    params.update({name: value for name, value in values.items() if now[name] != value})


_OF_WINDOWS = {"backend", "backend_fallback", "interactive", "toolbar"}


def _polars_options() -> dict[str, Any]:
    config = _module("polars.config")
    shown = {name: os.environ.get(name) for name in config._POLARS_CFG_ENV_VARS if name.startswith(_SHOWN)}
    return {**shown, **{name: read() for name, read in config._POLARS_CFG_DIRECT_VARS.items()}}


def _set_polars(values: dict[str, Any]) -> None:
    import json

    shown = {name: value for name, value in values.items() if name.startswith(_SHOWN)}
    others = {name: value for name, value in values.items() if name not in shown}
    _module("polars").Config.load(json.dumps({"environment": shown, "direct": others}))


_SHOWN = ("POLARS_FMT_", "POLARS_TABLE_")  # the others say how it works
_POLARS = {
    "set_fmt_float": "mixed", "set_float_precision": None, "set_thousands_separator": "",
    "set_decimal_separator": ".", "set_trim_decimal_zeros": False,
}  # fmt: skip

LIBRARIES = {
    "matplotlib": (
        "the style of matplotlib",
        Options(_matplotlib_options, lambda: _matplotlib_options("rcParamsDefault"), _set_matplotlib),
    ),
    "mpmath": ("the precision of mpmath", Options(_mpmath_options, lambda: _MPMATH, _set_mpmath)),
    "numpy": (
        "the error handling or print options of NumPy",
        Options(
            lambda: {**_module("numpy").geterr(), **_module("numpy").get_printoptions()},
            lambda: {**_NUMPY_ERRORS, **_NUMPY_PRINT},
            _set_numpy,
        ),
    ),
    "pandas": ("the options of pandas", _Pandas()),
    "polars": ("the options of polars", Options(_polars_options, lambda: _POLARS, _set_polars)),
    "sklearn": (
        "the configuration of scikit-learn",
        Options(_sklearn_options, lambda: _module("sklearn")._config._global_config, _set_sklearn),
    ),
    "torch": ("the defaults of torch", Options(_torch_options, lambda: _TORCH, _set_torch)),
    "xarray": ("the options of xarray", Options(_xarray_options, lambda: _XARRAY, _set_xarray)),
}
"""By the module that has them: what they are called, and the options."""
