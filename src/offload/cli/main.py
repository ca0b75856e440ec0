"""Where the command ``offload`` starts: ``run`` goes a short way, everything else through click."""

from __future__ import annotations

import os
import sys

from offload.cli.output import print_error, print_internal_error
from offload.errors import OffloadError

INTERRUPTED = 130
PIPE_CLOSED = 141


def main(words: list[str] | None = None) -> int:
    """Run a command line and return its exit code; what goes wrong is told in a line or two.

    Parameters
    ----------
    words : list of str, optional
        Without the program's name; default ``sys.argv[1:]``.
    """
    _open_standard_streams()
    if words is not None:
        return _main(words)
    code = _main(sys.argv[1:])
    if sys.argv[1:2] == ["run"] and "offload.compute.commands.single" not in sys.modules:
        # Nothing was computed and nothing is left to do: taking Python apart would cost a tenth of the whole time.
        os._exit(code)
    return code


def _main(words: list[str]) -> int:
    try:
        if words[:1] == ["run"] and "_OFFLOAD_COMPLETE" not in os.environ:
            from offload.cli.run import run

            code = run(words[1:])
        elif words == ["--version"]:
            from offload._version import __version__

            print(f"offload {__version__}")
            code = 0
        else:
            from offload.cli.app import run_app

            code = run_app(words)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except OffloadError as error:
        print_error(error)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader went away. What is still buffered has nowhere to go when Python shuts down.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return PIPE_CLOSED
    except Exception as error:
        print_internal_error(error)
        return 125 if words[:1] == ["run"] else 1


def _open_standard_streams() -> None:
    """Open what the caller has closed: another file would get its number, and the user's lines would end up there."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
