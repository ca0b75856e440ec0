"""The options of ``offload run``, once: for the parser of the recall path, which imports nothing, and for click."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import click

HELP = """Run a command, or recall what it gave before.

The command runs in a scratch directory that holds copies of its inputs: the files and directories that its words
name, and those that are declared. Its standard output, standard error and declared outputs are recorded under
the checksum of the command and the content of its inputs. The same command over the same content is recalled.

\b
    offload run -- sort words.txt
    offload run --output plot.png -- python plot.py data.csv
    offload run --each names.txt -j 4 -- ./simulate --name {}
    offload run -- gzip -c {} ::: *.txt
    offload run --on demo --detach -- ./simulate config.ini

With a deployment (--on NAME, else $OFFLOAD_DEPLOYMENT, else that of `offload use`), what is not recorded runs there, as
a job. `offload run --detach` prints the job's number and returns; see `offload jobs`, `wait` and `cancel`.

With --each, or arguments after `:::`, these stand for the line or argument: {} as it is, {.} without its extension,
{/} without its directory, {//} its directory, {/.} without both, {#} its number. They work in the command and in
--input, --output and --var. Where none is used, the argument comes last.

Several lists (`::: a b ::: 1 2`) are combined, each argument with each of the others: {1}, {2} (also {1.}, {2/} and so
on) stand for one of each, and {} for all. `:::+` goes along with the list before it, argument by argument; `::::` names
files of lines. With --colsep, {1} and {2} are the columns of a line.

Exit codes: the command's own; 125 offload itself failed, 126 the command cannot be executed, 127 it is not found,
128+N it was ended by signal N, 130 interrupted.
"""


class Option:
    """One option.

    Parameters
    ----------
    key : str
        Name of the value.
    names : tuple of str
        Spellings.
    metavar : str, optional
        What to call its argument; None for a flag.
    help : str
        For ``--help``.
    many : bool
        Whether it may be given several times.
    value : bool
        What a flag sets.
    """

    __slots__ = ("help", "key", "many", "metavar", "names", "value")

    def __init__(
        self,
        key: str,
        names: tuple[str, ...],
        metavar: str | None,
        help: str,
        many: bool = False,
        value: bool = True,
    ) -> None:
        self.key = key
        self.names = names
        self.metavar = metavar
        self.help = help
        self.many = many
        self.value = value


OPTIONS = (
    Option("input", ("-i", "--input"), "PATH", "A file or directory that the command reads (repeatable).", many=True),
    Option("output", ("-o", "--output"), "PATH", "A file or directory to bring back; NAME/ is made first.", many=True),
    Option("var", ("--var",), "NAME[=VALUE]", "Set an environment variable; it counts (repeatable).", many=True),
    Option("env", ("--env",), "NAME", "Use a virtual or conda environment; what is installed in it counts."),
    Option("stdin", ("--stdin",), "PATH|-|none", "Standard input: a file, `-` (wait for its end), or none."),
    Option("detect", ("--no-detect",), None, "Do not take the words of the command for inputs.", value=False),
    Option("scratch", ("--scratch",), "DIR", "Where to make the scratch directory (default: $TMPDIR or /tmp)."),
    Option("on", ("--on",), "NAME", "The deployment to run on; `none`: run here."),
    Option("there", ("--there",), None, "Have it find the workers' programs; these count, with machine and prologue."),
    Option("resources", ("--resources",), "TEXT", "What it needs of its worker there, such as GPU=1; does not count."),
    Option("detach", ("-d", "--detach"), None, "Print the number of the job on the deployment, and do not wait."),
    Option("each", ("--each",), "FILE", "Run the command once per line of FILE (`-`: standard input)."),
    Option("jobs", ("-j", "--jobs"), "N", "With --each: so many at once (default: the number of processors)."),
    Option("null", ("-0", "--null"), None, "With --each: a null character ends an argument, as of find -print0."),
    Option("colsep", ("--colsep",), "PATTERN", "With --each: what separates the columns {1}, {2}, ... of an argument."),
    Option("retries", ("--retries",), "N", "With --each: run what fails again, up to N times."),
    Option("joblog", ("--joblog",), "FILE", "With --each: write a line for each command, as GNU parallel does."),
    Option("timeout", ("--timeout",), "TIME", "End a command after so long (90s, 10m); it has failed (exit code 124)."),
    Option("fail_fast", ("--fail-fast",), None, "With --each: stop at the first failure."),
    Option("fail_fast", ("--keep-going",), None, "With --each: go on after failures (the default).", value=False),
    Option("fresh", ("--fresh",), None, "Compute even if a result is recorded."),
    Option("dry_run", ("--dry-run",), None, "Show what would run, and on what, and stop."),
    Option("why", ("--why",), None, "Explain why the command is recalled or computed."),
    Option("trace", ("--trace",), None, "Run it under strace, and list what it used that does not count."),
    Option("json", ("--json",), None, "Report on stderr as one line of JSON."),
    Option("quiet", ("-q", "--quiet"), None, "Write no lines of offload's own but errors."),
)


class Parsed:
    """What was given on a command line."""

    __slots__ = (
        "colsep", "command", "detach", "detect", "dry_run", "each", "env", "fail_fast", "fresh", "input", "joblog",
        "jobs", "json", "null", "on", "output", "quiet", "resources", "retries", "scratch", "stdin", "timeout",
        "there", "trace", "var", "why",
    )  # fmt: skip

    def __init__(self) -> None:
        self.command: list[str] = []
        self.input: list[str] = []
        self.output: list[str] = []
        self.var: list[str] = []
        self.stdin: str | None = None
        self.scratch: str | None = None
        self.env: str | None = None
        self.each: str | None = None
        self.jobs: str | None = None
        self.colsep: str | None = None
        self.retries: str | None = None
        self.joblog: str | None = None
        self.timeout: str | None = None
        self.on: str | None = None
        self.resources: str | None = None
        self.detach = False
        self.detect = True
        self.fail_fast = False
        self.null = False
        self.fresh = False
        self.dry_run = False
        self.why = False
        self.there = False
        self.trace = False
        self.json = False
        self.quiet = False

    def set(self, option: Option, value: str | bool) -> None:
        """Take in one option."""
        if option.many:
            getattr(self, option.key).append(value)
        else:
            setattr(self, option.key, value)


_BY_NAME = {name: option for option in OPTIONS for name in option.names}


def parse(words: Sequence[str]) -> Parsed | None:
    """Return what a plain command line says; None when it takes more than this to understand it."""
    parsed = Parsed()
    position = 0
    while position < len(words):
        word = words[position]
        position += 1
        if word == "--":
            break
        if word[:1] != "-" or word == "-":
            position -= 1
            break
        name, equals, value = word.partition("=") if word[:2] == "--" else (word[:2], word[2:], word[2:])
        option = _BY_NAME.get(name)
        if option is None or (option.metavar is None and equals):
            return None
        if option.metavar is None:
            parsed.set(option, option.value)
            continue
        if not equals:
            if position == len(words):
                return None
            value = words[position]
            position += 1
        parsed.set(option, value)
    parsed.command = list(words[position:])
    return parsed if parsed.command else None


def click_command(run: Callable[[Parsed], int]) -> click.Command:
    """Return the command as click sees it: for ``--help``, completion, and errors."""
    import click

    def callback(**values: object) -> int:
        parsed = Parsed()
        for key, value in values.items():
            setattr(parsed, key, list(value) if isinstance(value, tuple) else value)
        return run(parsed)

    parameters: list[click.Parameter] = []
    done = set()
    for option in OPTIONS:
        if option.key in done and option.metavar is None:
            continue
        done.add(option.key)
        if option.metavar is None:
            parameters.extend(_flags(option.key))
            continue
        kind = click.Path() if option.key in ("input", "output", "stdin", "scratch", "each", "joblog") else None
        parameters.append(
            click.Option(
                [*option.names, option.key], metavar=option.metavar, help=option.help, multiple=option.many, type=kind
            )
        )
    parameters.append(
        click.Argument(["command"], nargs=-1, required=True, type=click.Path(), metavar="COMMAND [ARG]...")
    )
    return click.Command(
        "run",
        params=parameters,
        callback=callback,
        help=HELP,
        short_help="Run a command, or recall what it gave before.",
        options_metavar="[OPTIONS] [--]",
        context_settings={"allow_interspersed_args": False, "help_option_names": ["-h", "--help"]},
    )


def _flags(key: str) -> list[click.Parameter]:
    """Return the click options of a flag: one per value that it can be set to."""
    import click

    options = [option for option in OPTIONS if option.key == key]
    default = getattr(Parsed(), key)
    return [
        click.Option([*option.names, key], is_flag=True, flag_value=option.value, default=default, help=option.help)
        for option in options
    ]
