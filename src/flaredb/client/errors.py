"""What a client raises. One tree, and on every error the four questions that a caller has.

    .retryable      the same call can succeed later
    .undetermined   the write may have been applied, or may be later: do not just repeat it
    .key            the key that the call was about, None if there is no single one
    .region_id      the region that was asked last, 0 if none was

Calls also raise TypeError and ValueError for arguments that can never work; those are found before anything is sent.
"""

from __future__ import annotations

import builtins

from flaredb.model.errors import FlareDBError
from flaredb.model.keys import format_key

KEY_BYTES_SHOWN = 48


class ClientError(FlareDBError):
    """Root of what a client raises."""

    undetermined: bool = False
    """True if a write may have been applied, or may be applied later."""

    def __init__(self, message: str, *, key: bytes | None = None, region_id: int = 0, history: str = "") -> None:
        super().__init__(message)
        self.key = key
        self.region_id = region_id
        self.history = history
        """What was tried and for how long: "13x NotLeader 4.1 s, 2x ServerIsBusy 0.3 s"; "" if nothing failed."""


class TimeoutError(ClientError, builtins.TimeoutError):
    """The deadline passed. The call had no effect: a write that may have had one raises UndeterminedError instead."""

    retryable = True


class ConnectionError(TimeoutError, builtins.ConnectionError):
    """The deadline passed and nobody could be reached: neither PD nor, if it was known, the store."""


class UndeterminedError(ClientError):
    """A write was sent and nobody said what became of it: it may be applied now, later, or never.

    Read the key to find out. Repeat the write only if it may be applied twice (``idempotent=True`` does so itself).
    """

    undetermined = True


class RequestRefusedError(ClientError):
    """The server says that this call can never be done; the text is the server's. Nothing was applied."""


class TtlNotEnabledError(RequestRefusedError):
    """The server keeps values for ever. Nothing was applied."""


class NotSupportedError(RequestRefusedError):
    """The server does not have this call. Nothing was applied."""


class LimitError(ClientError, ValueError):
    """A key, value or batch is too large. Nothing was applied.

    ``size`` and ``limit`` are in bytes; ``setting`` is what to change, with the side that has it.
    """

    def __init__(self, what: str, size: int, limit: int, setting: str, *, key: bytes | None = None) -> None:
        super().__init__(f"{what} is {size:,} bytes; at most {limit:,} are allowed ({setting})", key=key)
        self.size = size
        self.limit = limit
        self.setting = setting


class KeyTooLargeError(LimitError):
    """A key is longer than servers take."""


class ValueTooLargeError(LimitError):
    """A write is larger than fits an entry of the log."""


class BusyError(ClientError):
    """This client has as many calls under way as it may. Nothing was sent."""

    retryable = True


class ClosedError(ClientError):
    """The client is closed; open a new one."""


class ForkError(ClientError):
    """The process was forked after its first call to a cluster, and gRPC does not survive that."""


class WrongLoopError(ClientError):
    """An asyncio client is used on another event loop than the one it has its connections on."""


def shown(key: bytes) -> str:
    """A key for an error's text, shortened."""
    return format_key(key) if len(key) <= KEY_BYTES_SHOWN else f"{format_key(key[:KEY_BYTES_SHOWN])}..."
