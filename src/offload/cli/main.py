"""Where the command ``offload`` starts: ``run`` goes a short way, everything else through click."""

from __future__ import annotations

import errno
import os
import sys

from offload import notices
from offload.cli.output import print_error, print_internal_error, say
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
    if sys.argv[1:2] == ["run"]:
        _leave(code)
    return code


def _leave(code: int) -> None:
    """End this process, where no other thread goes on: to take Python apart would cost a tenth of the whole time."""
    threading = sys.modules.get("threading")
    if threading is not None and threading.active_count() > 1:
        return
    try:
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()
    except OSError:
        return  # Python tells of it
    if "offload.commands.running.one" in sys.modules:  # something was computed, perhaps, and recorded
        from offload.storage.sqlite.file import close_all

        close_all()
    os._exit(code)


def _main(words: list[str]) -> int:
    notices.listener = say
    try:
        if words[:1] == ["run"] and "_OFFLOAD_COMPLETE" not in os.environ:
            from offload.cli.run.command import run

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
        _drop_output()
        return PIPE_CLOSED
    except Exception as error:
        if isinstance(error, OSError) and _is_of_output(error):
            _drop_output()
            say(f"standard output cannot be written: {error.strerror}")
            return 125 if words[:1] == ["run"] else 3
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            say("this process may not open more files\n  ulimit -n 1024  allows more; see also: ulimit -Hn")
            return 125 if words[:1] == ["run"] else 3
        print_internal_error(error)
        return 125 if words[:1] == ["run"] else 1
    finally:
        notices.listener = None


def _is_of_output(error: OSError) -> bool:
    """Return whether writing to stdout failed: no file has a name, and neither storage nor work was about it."""
    if error.filename is not None or error.errno not in (
        errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EAGAIN, errno.EBADF
    ):  # fmt: skip
        return False
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = "" if trace is None else str(trace.tb_frame.f_globals.get("__name__"))
    return where.startswith(("offload.cli.", "click.", "rich."))


def _drop_output() -> None:
    """Let what is still buffered go nowhere when Python shuts down."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _open_standard_streams() -> None:
    """Open what the caller has closed: another file would get its number, and the user's lines would end up there."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
