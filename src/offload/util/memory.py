"""Memory for large pieces."""

from __future__ import annotations

import mmap

LARGE = 4 * 1024 * 1024  # from which on pages of 2 MiB are worth it


def room(size: int) -> memoryview:
    """Return new memory of so many bytes; for many of them in large pages, where the system has them.

    To take the first hold of each page of 4 KiB takes longer than to copy what comes there.
    """
    if size < LARGE or not hasattr(mmap, "MAP_PRIVATE"):
        return memoryview(bytearray(size))
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        try:
            memory.madvise(mmap.MADV_HUGEPAGE)
        except OSError:  # this kernel has none
            pass
    return memoryview(memory)
