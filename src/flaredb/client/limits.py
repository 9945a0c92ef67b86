"""How much a client takes and sends at once, and the checks of what users pass. Bytes and milliseconds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flaredb.client.errors import KeyTooLargeError, ValueTooLargeError, shown
from flaredb.model.commands import DATA_CFS
from flaredb.model.errors import ConfigError
from flaredb.model.limits import ENTRY_SIZE_BYTES_MAX, KEY_SIZE_BYTES_MAX, MIB

Buffer = bytes | bytearray | memoryview
"""What is taken for a key or a value; bytes are kept as they are, others are copied."""

ENTRY_OVERHEAD_BYTES = 64 * 1024
"""What a log entry needs beside its keys and values."""


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """Everything that can be chosen about a client; see docs/client.md."""

    endpoints: tuple[str, ...] = ("127.0.0.1:2379",)
    """host:port of PD's members."""

    timeout_ms: int = 5_000
    """Deadline of a call that names none."""

    cf: str = "default"
    """Column family of calls that name none."""

    idempotent: bool = False
    """Writes may be applied twice, so those of unknown fate are tried again."""

    atomic: bool = False
    """Tell TiKV to order plain writes with compare-and-swaps of the same key; FlareDB always does."""

    key_size_bytes_max: int = KEY_SIZE_BYTES_MAX
    """Servers: storage.max-key-size."""

    write_size_bytes_max: int = ENTRY_SIZE_BYTES_MAX - ENTRY_OVERHEAD_BYTES
    """Key and value of one put; servers: raftstore.raft-entry-max-size, less the entry's own overhead."""

    batch_keys_max: int = 512
    """Keys in one request of a batch; larger batches are split."""

    batch_bytes_max: int = MIB
    """Bytes of keys and values in one request of a batch."""

    batches_at_once: int = 16
    """Requests that one batch call has under way."""

    calls_max: int = 100_000
    """Calls of one client under way; one more raises BusyError."""

    read_try_ms: int = 1_500
    """A read that a store does not answer for so long is tried on another replica."""

    page_rows_max: int = 4_096
    """Rows of a scan that are fetched at once."""

    page_bytes: int = MIB
    """Bytes that a page of a scan aims at."""

    def __post_init__(self) -> None:
        if not self.endpoints:
            raise ConfigError("a client needs the address of at least one PD, such as 127.0.0.1:2379")
        for name in self.__slots__:
            value = getattr(self, name)
            if type(value) is int and value < 1:
                raise ConfigError(f"{name} must be at least 1, not {value}")
        cf_index(self.cf)


_CF_INDEX = {name: index for index, name in enumerate(DATA_CFS)}


def cf_index(name: str) -> int:
    """The number of a column family. Errors: ConfigError, which is a ValueError's like: it names those that exist."""
    index = _CF_INDEX.get(name)
    if index is None:
        raise ConfigError(f"column family {name!r} does not exist; use one of {', '.join(DATA_CFS)}")
    return index


def as_bytes(given: object, what: str) -> bytes:
    """The bytes of a buffer. Errors: TypeError that says what to write instead."""
    if type(given) is bytes:
        return given
    if isinstance(given, bytes | bytearray | memoryview):
        return bytes(given)
    if isinstance(given, str):
        raise TypeError(f"{what} must be bytes, not str: write b{given!r}, or {given!r}.encode()"[:300])
    try:
        return memoryview(given).tobytes()  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(
            f"{what} must be bytes or another buffer, not {type(given).__name__}: choose an encoding, such as "
            "str(number).encode() or json.dumps(value).encode()"
        ) from None


def check_key(given: object, options: ClientOptions, what: str = "the key") -> bytes:
    """A key that servers take. Errors: TypeError, KeyTooLargeError."""
    key = given if type(given) is bytes else as_bytes(given, what)
    if len(key) > options.key_size_bytes_max:
        raise KeyTooLargeError(
            f"key {shown(key)}",
            len(key),
            options.key_size_bytes_max,
            "client option key_size_bytes_max, server setting storage.max-key-size",
            key=key,
        )
    return key


def check_pair(key: object, value: object, options: ClientOptions) -> tuple[bytes, bytes]:
    """A key and a value that servers take. Errors: TypeError, KeyTooLargeError, ValueTooLargeError."""
    checked_key = check_key(key, options)
    checked_value = value if type(value) is bytes else as_bytes(value, "the value")
    size_bytes = len(checked_key) + len(checked_value)
    if size_bytes > options.write_size_bytes_max:
        raise value_too_large(checked_key, size_bytes, options.write_size_bytes_max)
    return checked_key, checked_value


def value_too_large(key: bytes | None, size_bytes: int, limit_bytes: int) -> ValueTooLargeError:
    """The error for a write that no log entry can hold."""
    what = "the write" if key is None else f"the write of key {shown(key)}"
    return ValueTooLargeError(
        what,
        size_bytes,
        limit_bytes,
        "client option write_size_bytes_max, server setting raftstore.raft-entry-max-size",
        key=key,
    )


def check_keys(given: Iterable[object], options: ClientOptions) -> list[bytes]:
    """Keys that servers take. Errors: as check_key; TypeError for one key in place of many."""
    if isinstance(given, bytes | bytearray | memoryview | str):
        raise TypeError("keys must be a list (or another iterable) of keys, not one key; write [key]")
    return [check_key(key, options) for key in given]


def check_ttl(ttl: float | None) -> int:
    """Whole seconds of a ttl, rounded up; 0 for None. Errors: ValueError, TypeError."""
    if ttl is None:
        return 0
    if isinstance(ttl, bool) or not isinstance(ttl, int | float):
        raise TypeError(f"ttl must be a number of seconds or None, not {type(ttl).__name__}")
    if not 0 < ttl < 1 << 62:
        raise ValueError(f"ttl must be above 0 seconds, not {ttl}; leave it out for a value that stays")
    return -int(-ttl // 1)


def check_timeout(timeout: float | None, options: ClientOptions) -> int:
    """Milliseconds of a call's deadline. Errors: ValueError, TypeError."""
    if timeout is None:
        return options.timeout_ms
    if isinstance(timeout, bool) or not isinstance(timeout, int | float):
        raise TypeError(f"timeout must be a number of seconds or None, not {type(timeout).__name__}")
    if not 0 < timeout < 1 << 31:
        raise ValueError(f"timeout must be above 0 seconds, not {timeout}; leave it out for the default")
    return max(1, int(timeout * 1000))


def prefix_end(prefix: bytes) -> bytes:
    """The first key above all that start with ``prefix``; b"" if there is none."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else b""


def check_range(
    start: object, end: object, prefix: object, options: ClientOptions, *, must_say: bool = False
) -> tuple[bytes, bytes]:
    """[start, end) of what users say; b"" as end: no bound.

    Errors: TypeError; ValueError for a prefix beside bounds, and for nothing at all where ``must_say``.
    """
    if prefix is not None:
        if start is not None or end is not None:
            raise ValueError("say either start and end, or prefix, not both")
        stem = check_key(prefix, options, "the prefix")
        return stem, prefix_end(stem)
    if must_say and start is None and end is None:
        raise ValueError('say which keys: start and end, or prefix; start=b"" for all')
    low = b"" if start is None else check_key(start, options, "start")
    high = b"" if end is None else check_key(end, options, "end")
    return low, high
