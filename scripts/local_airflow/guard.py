"""Ends what a dead owner left behind.

Holds the read end of a pipe whose write end only the owner has. When the owner ends in any way, kill -9
included, the pipe closes and every process with the owner's mark is killed, grandchildren and tasks too. It
reaches as far as the mark does, and does not outlive a kill -9 of its own.
"""

from __future__ import annotations

import signal
import sys
import time

from local_airflow.process_table import living, send

FAREWELL = b"done\n"


def end_all(owner: str, *, timeout: float = 10.0) -> list[int]:
    """Kill until nobody is left (a process may fork while the table is read), and say who is."""
    deadline = time.monotonic() + timeout
    while (left := living(owner)) and time.monotonic() < deadline:
        send(left, signal.SIGKILL)
        time.sleep(0.1)
    return left


def main() -> int:
    # A terminal that closes must not end the one process that cleans up after it.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if sys.stdin.buffer.read() == FAREWELL:
        return 0
    return 1 if end_all(sys.argv[1]) else 0


if __name__ == "__main__":
    sys.exit(main())
