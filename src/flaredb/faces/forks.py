"""gRPC does not survive a fork: a child of a process that used it is told so, instead of hanging."""

from __future__ import annotations

import os

from flaredb.client.errors import ForkError

_user_pid = 0


def note_use() -> None:
    """This process makes connections. Errors: ForkError if it was forked off one that has."""
    global _user_pid
    if not _user_pid:
        _user_pid = os.getpid()
    elif _user_pid != os.getpid():
        raise fork_error()


def fork_error() -> ForkError:
    """The error for use in a process that was forked off a user of gRPC."""
    return ForkError(
        "this process was forked after its parent had called a cluster, and gRPC does not survive a fork: make the "
        "first call after the fork (a client made before it is fine), or start processes by spawn"
    )
