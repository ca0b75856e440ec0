"""Names of what a function had better not reach: clocks, random generators, and readers that cannot be watched.

Clocks that only measure how long something takes are not among them.
"""

from __future__ import annotations

CLOCK, RANDOM, ENVIRONMENT, READER, LOOK, PROCESS = "clock", "random", "environment", "reader", "look", "process"

_CLOCKS = {
    "time": {"time", "time_ns"},
    "datetime": {"now", "utcnow", "today"},
    "pandas": {"now", "utcnow", "today"},
}
# These tell the time when they get no argument, or one that says only how to write it.
_CLOCKS_BY_ARGUMENTS = {"localtime": 0, "gmtime": 0, "ctime": 0, "asctime": 0, "strftime": 1}

_RANDOM = {
    "random": set(
        "SystemRandom betavariate binomialvariate choice choices expovariate gammavariate gauss getrandbits "
        "lognormvariate normalvariate paretovariate randbytes randint random randrange sample shuffle triangular "
        "uniform vonmisesvariate weibullvariate".split()
    ),
    "os": {"getrandom", "urandom"},
    "uuid": {"uuid1", "uuid4", "uuid6", "uuid7"},
    "secrets": {"choice", "randbelow", "randbits", "token_bytes", "token_hex", "token_urlsafe", "SystemRandom"},
    "torch": {"rand", "randint", "randn", "randperm"},
}
# Of NumPy's module all functions draw numbers, but for these.
_NO_DRAW = {"bit_generator", "get_state", "mtrand", "seed", "set_state"}
# Generators that have a state of their own, which is random only when they get no seed.
_GENERATORS = {
    "random": {"Random"},
    "numpy": {"MT19937", "PCG64", "PCG64DXSM", "Philox", "RandomState", "SFC64", "SeedSequence", "default_rng"},
}
# Where one of these is called with a seed, what is drawn from the module's own generator is no accident.
SEEDS = {"random": "random.seed", "numpy": "numpy.random.seed", "torch": "torch.manual_seed"}

# They ask about a file without opening it, of which no audit event tells.
_LOOKS = {"exists", "getatime", "getctime", "getmtime", "getsize", "isdir", "isfile", "islink", "ismount", "lexists"}
_LOOKS_OF_OS = {"access", "lstat", "readlink", "stat"}
_PATHS = {"genericpath", "posixpath", "ntpath"}
# Methods of paths: of what is given as an argument, or made on the way, only the name of the method tells.
LOOKS_OF_PATHS = {
    *(
        "exists",
        "group",
        "is_block_device",
        "is_char_device",
        "is_dir",
        "is_fifo",
        "is_file",
        "is_junction",
        "is_mount",
    ),
    *("is_socket", "is_symlink", "lstat", "owner", "readlink", "samefile", "stat"),
}
# Another answer in each process: where it runs, its number, where an object lies, the hash of a text, how it is set.
_OF_PROCESS = {
    "builtins": {"hash", "id"},
    "faulthandler": {"is_enabled"},
    "os": {"getcwd", "getcwdb", "getpid", "getppid", "umask"},
    "resource": {"getrlimit"},
    "signal": {"getsignal"},
    "socket": {"getdefaulttimeout"},
    "thread": {"get_ident", "get_native_id"},
    "threading": {"get_ident", "get_native_id"},
    "tracemalloc": {"is_tracing"},
}
# In these, nothing of it shows in a result: what they give only tells objects apart.
TELL_APART = {"__eq__", "__hash__", "__repr__", "__str__"}

# As people write them.
SHOWN = {
    "posixpath": "os.path",
    "genericpath": "os.path",
    "ntpath": "os.path",
    "posix": "os",
    "builtins": "",
    "thread": "threading",
}

# They read in native code, of which no audit event tells, or remember what they have read.
_READERS = {
    "cv2": {"VideoCapture", "imread"},
    "dbm": {"open"},
    "duckdb": {
        *("connect", "execute", "executemany", "from_csv_auto", "from_parquet", "from_query", "query", "sql"),
        *("read_csv", "read_csv_auto", "read_json", "read_parquet"),
    },
    "fiona": {"open"},
    "geopandas": {"read_feather", "read_file", "read_parquet"},
    "h5py": {"File"},
    "linecache": {"getline", "getlines", "lazycache", "updatecache"},
    "lxml": {"iterparse", "parse"},
    "netCDF4": {"Dataset", "MFDataset"},
    "osgeo": {"Open", "OpenEx"},
    "pandas": {"HDFStore", "read_feather", "read_hdf", "read_orc", "read_parquet", "read_spss"},
    "psycopg": {"connect"},
    "psycopg2": {"connect"},
    "pyarrow": {
        *("FileSystem", "LocalFileSystem", "SubTreeFileSystem", "parquet_dataset"),
        *("OSFile", "ORCFile", "ParquetDataset", "ParquetFile", "dataset", "input_stream", "memory_map", "open_csv"),
        *("read_csv", "read_feather", "read_json", "read_metadata", "read_pandas", "read_schema", "read_table"),
    },
    "pycurl": {"Curl"},
    "pyreadstat": {"read_dta", "read_sas7bdat", "read_sav"},
    "rasterio": {"open"},
    "scipy": {"mminfo", "mmread"},
    "shelve": {"open"},
    "soundfile": {"SoundFile", "read"},
    "tables": {"open_file"},
    "xarray": {
        *("load_dataarray", "load_dataset", "open_dataarray", "open_dataset", "open_datatree", "open_groups"),
        *("open_mfdataset", "open_zarr"),
    },
}


def kind_of(name: str, arguments: int | None) -> str | None:
    """Return what kind of thing a name is, or None where there is nothing to say about it.

    Parameters
    ----------
    name : str
        Full, such as ``numpy.random.rand``.
    arguments : int or None
        The smallest number of arguments that it is called with; None where that is not known.
    """
    first, *rest = name.split(".")
    if not rest:
        return None
    last = rest[-1]
    if first == "os" and rest[0] in ("environ", "environb", "getenv", "getenvb"):
        return ENVIRONMENT
    few = arguments is not None and arguments <= _CLOCKS_BY_ARGUMENTS.get(last, -1)
    if last in _CLOCKS.get(first, ()) or (first == "time" and few):
        return CLOCK
    if last in _RANDOM.get(first, ()) or (last in _GENERATORS.get(first, ()) and arguments == 0):
        return RANDOM
    if first == "numpy" and rest[0] == "random" and len(rest) > 1 and last[0].islower():
        return RANDOM if last not in _NO_DRAW | _GENERATORS["numpy"] else None
    if (first in _PATHS and last in _LOOKS) or (first in ("os", "posix") and last in _LOOKS_OF_OS | _LOOKS):
        return LOOK
    if first == "pathlib" and last in LOOKS_OF_PATHS:
        return LOOK
    if last in _OF_PROCESS.get("os" if first == "posix" else first, ()) and len(rest) == 1:
        return PROCESS
    if first == "pathlib" and last == "cwd":
        return PROCESS
    if not _READERS.get(first, set()).isdisjoint(rest) or (first == "polars" and _reads(last)):
        return READER
    return None


def _reads(name: str) -> bool:
    return name.startswith(("read_", "scan_"))
