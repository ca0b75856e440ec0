"""A long line in user space, for kernels without netem: two taps, and frames that reach the other one later, or never.

``python -m tests.lab.pump TAP TAP MILLISECONDS LOSS``: the delay is that of one way. It prints ``ready`` when both
taps are there and runs until it is killed.
"""

from __future__ import annotations

import fcntl
import heapq
import os
import random
import select
import struct
import sys
import time

_TUNSETIFF, _TAP, _NO_INFORMATION = 0x400454CA, 0x0002, 0x1000


def open_tap(name: str) -> int:
    """A new tap; it is gone when the descriptor is closed."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH", name.encode(), _TAP | _NO_INFORMATION))
    return descriptor


def pump(ends: tuple[int, int], delay: float, loss: float) -> None:
    """Carry frames both ways, for ever."""
    other = {ends[0]: ends[1], ends[1]: ends[0]}
    waiting: list[tuple[float, int, int, bytes]] = []
    count = 0
    chance = random.Random(0)
    while True:
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _, _, descriptor, frame = heapq.heappop(waiting)
            try:
                os.write(descriptor, frame)
            except OSError:
                continue  # the cable is out, or the queue full: a frame is lost, as on a real line
        pause = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        for descriptor in select.select(ends, [], [], pause)[0]:
            for _ in range(64):
                try:
                    frame = os.read(descriptor, 65536)
                except OSError:
                    break  # nothing more, or the cable is out
                if chance.random() >= loss:
                    count += 1
                    heapq.heappush(waiting, (time.monotonic() + delay, count, other[descriptor], frame))


def main() -> None:
    """Open the taps and pump."""
    ends = (open_tap(sys.argv[1]), open_tap(sys.argv[2]))
    print("ready", flush=True)
    pump(ends, float(sys.argv[3]) / 1000, float(sys.argv[4]))


if __name__ == "__main__":
    main()
