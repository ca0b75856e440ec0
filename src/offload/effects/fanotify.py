"""Which files this process opens in given directories, as the kernel tells it: also those that native code opens.

Linux tells a process without any rights what is opened in directories that it may read, and whether it was the process
itself, from version 5.13 on; see docs/decisions/0065. Some file systems and containers refuse.
"""

from __future__ import annotations

import ctypes
import os
import struct

from offload.errors import OffloadError

OPEN, MODIFY, CLOSED, MOVED_HERE, CREATED = 0x20, 0x02, 0x08, 0x80, 0x100

_CLOEXEC, _NONBLOCK, _BY_FOLDER_AND_NAME = 0x1, 0x2, 0x400 | 0x800
_ADD, _ON_CHILDREN = 0x1, 0x08000000
_OVERFLOW = 0x4000
_HERE = -100  # AT_FDCWD
_ONLY_TO_COMPARE = 0x200  # AT_HANDLE_FID: for file systems whose handles cannot be opened
_FOLDER_AND_NAME = 2
_HANDLE = 128
_AT_ONCE = 256 * 1024

_event = struct.Struct("=IBBHQii")
_info = struct.Struct("=BBHQIi")


class RefusedError(OffloadError):
    """The kernel does not tell what is opened."""


class Group:
    """What is opened, in the directories that are looked at.

    Raises
    ------
    RefusedError
        If the kernel does not tell.
    """

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._folders: dict[tuple[int, int, bytes], str] = {}
        self.overflowed = False
        try:
            self._libc.fanotify_mark.argtypes = [
                *(ctypes.c_int, ctypes.c_uint, ctypes.c_uint64, ctypes.c_int, ctypes.c_char_p)
            ]
            self._descriptor = self._done(
                self._libc.fanotify_init(_CLOEXEC | _NONBLOCK | _BY_FOLDER_AND_NAME, os.O_RDONLY)
            )
        except (AttributeError, OSError) as exc:
            raise RefusedError(f"this system does not tell which files are opened: {exc}") from exc

    def look_at(self, folder: str) -> None:
        """Have it told what is opened in a directory, but not below.

        Raises
        ------
        OSError
            If the file system does not tell.
        """
        path = os.fsencode(folder)
        key = self._key(path)
        mask = OPEN | MODIFY | CLOSED | MOVED_HERE | CREATED | _ON_CHILDREN
        self._done(self._libc.fanotify_mark(self._descriptor, _ADD, mask, _HERE, path))
        self._folders[key] = os.path.realpath(folder)

    def events(self) -> dict[str, int]:
        """Return what this process has opened and written since the last time: paths, and what was done with each."""
        found: dict[str, int] = {}
        own = os.getpid()
        self.overflowed = False
        while data := self._read():
            at = 0
            while at < len(data):
                length, _, _, head, mask, _, pid = _event.unpack_from(data, at)
                if mask & _OVERFLOW:
                    self.overflowed = True
                elif pid == own and (path := self._path(data[at + head : at + length])) is not None:
                    found[path] = found.get(path, 0) | mask
                at += length
        return found

    def forget(self) -> None:
        """Pass over what there is to tell."""
        while self._read():
            pass

    def close(self) -> None:
        """End it."""
        os.close(self._descriptor)

    def _read(self) -> bytes:
        try:
            return os.read(self._descriptor, _AT_ONCE)
        except BlockingIOError:
            return b""

    def _path(self, info: bytes) -> str | None:
        kind, _, length, system, size, form = _info.unpack_from(info)
        if kind != _FOLDER_AND_NAME:
            return None
        handle, name = info[_info.size :][:size], info[_info.size + size : length].partition(b"\0")[0]
        folder = self._folders.get((system, form, handle))
        return None if folder is None else os.path.join(folder, os.fsdecode(name))

    def _key(self, path: bytes) -> tuple[int, int, bytes]:
        """Return by what the kernel will call a directory."""
        given = struct.pack("=Ii", _HANDLE, 0)
        for flags in (0, _ONLY_TO_COMPARE):
            buffer = ctypes.create_string_buffer(given, len(given) + _HANDLE)
            mount = ctypes.c_int()
            if self._libc.name_to_handle_at(_HERE, path, buffer, ctypes.byref(mount), flags) == 0:
                break
        else:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        size, form = struct.unpack_from("=Ii", buffer.raw)
        return os.statvfs(path).f_fsid, form, buffer.raw[len(given) : len(given) + size]

    def _done(self, result: int) -> int:
        if result < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return result
