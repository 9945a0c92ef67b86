"""A child that does not outlive who started it.

The parent holds the writing end of a pipe and names the reading end in FLAREDB_PARENT_FD. When the parent ends, in
whatever way, the kernel closes its end and the read returns.
"""

from __future__ import annotations

import os
import signal
import threading

PARENT_FD_VARIABLE = "FLAREDB_PARENT_FD"
REQUEST_BYTES_MAX = 128 * 1024
"""Arguments and environment of one server that is asked for (nursery.py)."""

GRACE_S = 5.0
"""How long a polite stop may take before the process ends at once."""


def end_with_parent() -> None:
    """Stop this process when the one that started it ends; does nothing if nobody asked for it."""
    named = os.environ.pop(PARENT_FD_VARIABLE, "")
    if named.isdigit():
        threading.Thread(target=_wait_for_end, args=(int(named),), name="parent-watch", daemon=True).start()


def _wait_for_end(pipe_fd: int) -> None:
    try:
        while os.read(pipe_fd, 1):
            pass
    except OSError:
        return
    # Not SIGTERM: the other stores of the cluster end as well, there is nobody to hand leaders to.
    os.kill(os.getpid(), signal.SIGINT)
    threading.Event().wait(GRACE_S)
    os._exit(1)
