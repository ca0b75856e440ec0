"""Edits of what code reaches by names in strings, and edits of what strings only seem to name."""

from __future__ import annotations

from tests.identity.projects import case

ONE = ("K = 1", "K = 2")
BODY = ("return 1", "return 2")

CHANGES = [
    case("query of a frame", "K = 1\ndef f(x): return x.query('a > @K')", ONE),
    case("query with an attribute", "class C: K = 1\ndef f(x): return x.query('a > @C.K')", ONE),
    case("query in a global text", "K = 1\nQ = 'a > @K'\ndef f(x): return x.query(Q)", ONE),
    case("query in a default", "K = 1\ndef f(x, q='a > @K'): return x.query(q)", ONE),
    case("query in a table", "K = 1\nQ = {'a': ['a > @K']}\ndef f(x): return x.query(Q['a'][0])", ONE),
    case("query in a nested function", "K = 1\ndef f(x): return (lambda: x.query('a > @K'))()", ONE),
    case("helper that queries", "K = 1\ndef q(x, t): return x.query(t)\ndef f(x): return q(x, 'a > @K')", ONE),
    case(
        "helper elsewhere that queries",
        "from more import q\ndef f(x): return q(x, 'a > @K')",
        ("more", *ONE),
        more="K = 1\ndef q(x, t): return x.query(t)",
    ),
    case("pandas.eval", "import pandas as pd\nK = 1\ndef f(x): return pd.eval('K + 1')", ONE),
    case("eval of a name", "K = 1\ndef f(x): return eval('K')", ONE),
    case("eval of a call", "def g(): return 1\ndef f(x): return eval('g()')", BODY),
    case(
        "exec with an import",
        "def f(x):\n exec('import more\\ny = more.K')",
        ("more", *ONE),
        more="K = 1",
    ),
    case("formula", "import colorsys as patsy\ndef g(v): return 1\ndef f(x): return patsy.dmatrix('g(a)', x)", BODY),
    case(
        "formula for who knows whom",
        "import colorsys as lib\ndef g(v): return 1\ndef f(x): return lib.fit('y ~ g(a)', x)",
        BODY,
    ),
    case(
        "SQL over a global frame",
        "import duckdb\nK = [1]\ndef f(x): return duckdb.sql('select a from K')",
        ("[1]", "[2]"),
    ),
    case("globals by name", "K = 1\ndef f(x): return globals()['K']", ONE),
    case("globals of the frame", "import sys\nK = 1\ndef f(x): return sys._getframe().f_globals['K']", ONE),
    case("globals of a function", "K = 1\ndef f(x): return f.__globals__['K']", ONE),
    case("format with globals", "K = 1\ndef f(x): return '{K} {x}'.format(x=1, **globals())", ONE),
    case("format_map", "K = 1\ndef f(x): return 'it is {K}'.format_map(globals())", ONE),
    case(
        "template", "from string import Template as T\nK = 1\ndef f(x): return T('it is $K').substitute(globals())", ONE
    ),
    case(
        "string annotation that is resolved",
        "import typing\nclass C: K = 1\ndef g(c: 'C'): pass\ndef f(x): return typing.get_type_hints(g)['c'].K",
        ONE,
    ),
    case("timeit", "import timeit\ndef g(): return 1\ndef f(x): return timeit.timeit('g()', globals=globals())", BODY),
    case(
        "attrgetter",
        "import operator\ndef g(): pass\ng.rank = 1\nG = [g]\n"
        "def f(x): return sorted(G, key=operator.attrgetter('rank'))",
        ("rank = 1", "rank = 2"),
    ),
    case(
        "attrgetter, deeper",
        "import operator\ndef g(): pass\ng.a = lambda: 0\ng.a.rank = 1\n"
        "def f(x): return operator.attrgetter('a.rank')(g)",
        ("rank = 1", "rank = 2"),
    ),
    case(
        "getattr with a name out of constants",
        "def g(): pass\ng.rank = 1\nG = [g]\ndef f(x): return [getattr(h, n) for n in ('rank', 'name') for h in G]",
        ("rank = 1", "rank = 2"),
    ),
]

CHANGES += [
    case(
        "relative import by name",
        "from pkg import f",
        ("pkg__sub", *ONE),
        pkg__init="from importlib import import_module\ndef f(x): return import_module('.sub', __package__).K\n",
        pkg__sub="K = 1",
    ),
    case(
        "import_module by another name",
        "from importlib import import_module as im\ndef f(x): return im('more').K",
        ("more", *ONE),
        more="K = 1",
    ),
    case(
        "import_module by another name, of a global text",
        "from importlib import import_module as im\nWHICH = ['more']\ndef f(x): return [im(w).K for w in WHICH]",
        ("more", *ONE),
        more="K = 1",
    ),
    case(
        "locate", "import pydoc\ndef f(x): return pydoc.locate('more.g')(x)", ("more", *BODY), more="def g(x): return 1"
    ),
    case(
        "resolve_name",
        "from pkgutil import resolve_name\ndef f(x): return resolve_name('more:g')(x)",
        ("more", *BODY),
        more="def g(x): return 1",
    ),
    case(
        "resolve_name by another name",
        "from pkgutil import resolve_name as r\ndef f(x): return r('more:g')(x)",
        ("more", *BODY),
        more="def g(x): return 1",
    ),
    case(
        "__import__ of a part",
        "def f(x): return __import__('pkg.sub').sub.K",
        ("pkg__sub", *ONE),
        pkg__init="",
        pkg__sub="K = 1",
    ),
]

KEEPS = [
    case("name in a docstring", "K = 1\ndef f(x):\n 'Give K + 1.'\n return x.query('a > 1')", ONE),
    case("name in a key", "K = 1\ndef f(x): return x['K']", ONE),
    case("name in a message", "K = 1\ndef f(x): raise ValueError('no K is there, but x = 1')", ONE),
    case(
        "text with a name that cannot be followed",
        "K = (n for n in [1])\ndef f(x): return x.query('K')",
        ("[1]", "[2]"),
    ),
    case(
        "text that names a function that cannot be followed",
        "K = (n for n in [1])\ndef g(): return K\ndef f(x): return x.query('g')",
        ("[1]", "[2]"),
    ),
]
