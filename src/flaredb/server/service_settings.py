"""Limits and habits of the KV service. Every queue of the front door is bounded by one of these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from flaredb.model.errors import ConfigError
from flaredb.model.limits import KEY_SIZE_BYTES_MAX, MIB

ScanErrors = Literal["auto", "status", "region-error"]


@dataclass(frozen=True, slots=True)
class KvServiceSettings:
    """How much the service takes in before it slows its clients down, and how it speaks to old ones."""

    key_size_bytes_max: int = KEY_SIZE_BYTES_MAX
    """Longest key of a write."""

    raw_scan_region_error: ScanErrors = "auto"
    """Region errors of unary RawScan: as gRPC status UNAVAILABLE, in the response, or by what the client can read."""

    unary_calls_max: int = 8192
    """Unary calls that wait for the store; one more is answered ServerIsBusy."""

    unary_bytes_max: int = 256 * MIB
    """Request bytes of those calls. A single larger call is served when it is alone."""

    stream_requests_max: int = 4096
    """Unanswered requests of one BatchCommands stream from which on no frame is read. A frame adds to it as a whole."""

    stream_bytes_max: int = 32 * MIB
    """The same for the bytes of those requests."""

    stream_unwritten_bytes_max: int = 16 * MIB
    """Answers of one stream not yet taken by the client, from which on no frame is read."""

    empty_delay_ms_max: int = 10_000
    """Longest delay that an Empty command can ask for; longer ones are answered after this."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if isinstance(value, int) and value < 1:
                raise ConfigError(f"{name} must be at least 1, not {value}")
        if self.raw_scan_region_error not in ("auto", "status", "region-error"):
            raise ConfigError(
                f"raw_scan_region_error must be auto, status or region-error, not {self.raw_scan_region_error!r}"
            )
