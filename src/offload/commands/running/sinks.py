"""Where output goes."""

from __future__ import annotations

import os

from offload.errors import OffloadError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Sink = Callable[[bytes], bool]


def sink_to(descriptor: int) -> Sink:
    """Return a sink that writes to a descriptor of this process, whatever its state."""

    def write(data: bytes) -> bool:
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(descriptor, view) :]
            except BlockingIOError:
                import select

                poller = select.poll()
                poller.register(descriptor, select.POLLOUT)
                poller.poll()
            except OSError as error:
                import errno

                if error.errno in (errno.EPIPE, errno.EIO, errno.EBADF):
                    # The reader (a pipe's, a terminal) is gone: nobody is left to tell.
                    return False
                raise OffloadError(f"cannot write the command's output: {error.strerror}") from error
        return True

    return write
