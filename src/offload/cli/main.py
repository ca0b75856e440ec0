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
    words = sys.argv[1:] if words is None else words
    try:
        if words[:1] == ["run"] and "_OFFLOAD_COMPLETE" not in os.environ:
            from offload.cli.run import run

            return run(words[1:])
        from offload.cli.app import run_app

        code = run_app(words)
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
