"""Everything that FlareDB's client raises; see the attributes of ClientError."""

from flaredb.client.errors import (
    BusyError,
    ClientError,
    ClosedError,
    ConnectionError,
    ForkError,
    KeyTooLargeError,
    LimitError,
    NotSupportedError,
    RequestRefusedError,
    TimeoutError,
    TtlNotEnabledError,
    UndeterminedError,
    ValueTooLargeError,
    WrongLoopError,
)
from flaredb.model.errors import ConfigError, FlareDBError

__all__ = [
    "BusyError",
    "ClientError",
    "ClosedError",
    "ConfigError",
    "ConnectionError",
    "FlareDBError",
    "ForkError",
    "KeyTooLargeError",
    "LimitError",
    "NotSupportedError",
    "RequestRefusedError",
    "TimeoutError",
    "TtlNotEnabledError",
    "UndeterminedError",
    "ValueTooLargeError",
    "WrongLoopError",
]
