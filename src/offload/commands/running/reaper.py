"""A small process that ends the commands of this one when this one is killed.

A process that is killed takes nobody along: what it was running would go on, unseen, beside its second run. So each
process that runs commands has a guardian, in a session of its own, that is told over a pipe which sessions there are:
each command leads one. When the pipe ends, the process has, and the guardian kills what is left of them.

The guardian is a shell that uses nothing but what is built in: it is there in a millisecond.
"""

from __future__ import annotations

import os
import threading

from offload.commands.running.spawn import spawn

# Its input has a line for each session: `+1234` to look after it, `-1234` to leave it alone. A shell job of a command
# has a group of its own, and so has what `timeout` starts; the fourth field after a name in /proc is the session. What
# is forked meanwhile is found the next time round.
_SCRIPT = r"""
cd /
trap '' INT TERM HUP QUIT PIPE
sessions=' '
while read -r line; do
  session=${line#?}
  case $line in
    +*) sessions="$sessions$session " ;;
    *) case $sessions in *" $session "*) sessions="${sessions%% $session *} ${sessions#* $session }" ;; esac ;;
  esac
done
case $sessions in *[0-9]*) ;; *) exit ;; esac
for session in $sessions; do kill -KILL -- "-$session"; done
for round in 1 2 3 4 5 6 7 8 9; do
  left=
  for file in /proc/[0-9]*/stat; do
    { read -r line < "$file"; } || continue
    set -- ${line##*) }
    case $1 in Z | X) continue ;; esac
    case $sessions in
      *" ${4:-none} "*) left=some; file=${file#/proc/}; kill -KILL "${file%/stat}" ;;
    esac
  done
  case $left in '') exit ;; esac
done
"""


class Guardian:
    """Tells a guardian process, started when it is first needed, which sessions it has to look after."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sessions: set[int] = set()
        self._pid = 0
        self._pipe = -1

    def prepare(self) -> None:
        """Start the guardian, before the command that it is to look after."""
        with self._lock:
            if not self._pid:
                self._start()

    def watch(self, session: int) -> None:
        """Have a session ended should this process be killed; its number is that of its leader."""
        with self._lock:
            self._sessions.add(session)
            self._tell(f"+{session}\n")

    def forget(self, session: int) -> None:
        """Leave alone a session that has ended: its number may soon be somebody else's."""
        with self._lock:
            self._sessions.discard(session)
            self._tell(f"-{session}\n")

    def _tell(self, line: str) -> None:
        if self._pid:
            try:
                os.write(self._pipe, line.encode())
                return
            except BrokenPipeError:  # somebody has ended it; the next one has to know all
                os.close(self._pipe)
                os.waitpid(self._pid, 0)
        self._start()
        os.write(self._pipe, "".join(f"+{session}\n" for session in self._sessions).encode())

    def _start(self) -> None:
        reading, writing = os.pipe()
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        try:
            self._pid = spawn(["/bin/sh", "-c", _SCRIPT], "/bin/sh", {}, (reading, nowhere, nowhere))
        finally:
            os.close(reading)
            os.close(nowhere)
        self._pipe = writing  # it lives as long as this process: nobody waits for it

    def let_go(self) -> None:
        """In a forked child: hold the pipe no longer, or its end would not be seen."""
        self._lock = threading.Lock()
        self._sessions = set()
        self._pid = 0
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1


guardian = Guardian()
os.register_at_fork(after_in_child=guardian.let_go)
