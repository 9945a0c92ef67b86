"""What can go wrong when asking PD, and how its answers map to it (wire facts 3.3)."""

from __future__ import annotations

import grpc

from flaredb.model.errors import FlareDBError
from flaredb.wire.pb import pdpb_pb2 as pdpb


class PdError(FlareDBError):
    """PD did not do what was asked. ``retryable`` tells whether the same call can succeed later."""


class PdUnavailable(PdError):
    """No PD member, or not its leader, answered in time."""

    retryable = True


class PdNotBootstrapped(PdError):
    """The cluster has no first region yet."""

    retryable = True


class PdAlreadyBootstrapped(PdError):
    """Another store was the first."""


class PdClusterMismatch(PdError):
    """PD belongs to another cluster than this process."""


class PdStoreTombstone(PdError):
    """The store was removed from the cluster for good; its id is never used again."""


class PdRefused(PdError):
    """PD understood and said no; the text is PD's."""


class PdRegionNotFound(PdRefused):
    """PD knows no such region, or nothing about it."""


_BY_TYPE: dict[int, type[PdError]] = {
    pdpb.NOT_BOOTSTRAPPED: PdNotBootstrapped,
    pdpb.ALREADY_BOOTSTRAPPED: PdAlreadyBootstrapped,
    pdpb.STORE_TOMBSTONE: PdStoreTombstone,
    pdpb.REGION_NOT_FOUND: PdRegionNotFound,
}

_TRANSIENT_CODES = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)


def error_of_header(what: str, header: pdpb.ResponseHeader) -> PdError | None:
    """The error that a response's header carries, if any; an error of type OK is none."""
    if not header.HasField("error") or header.error.type == pdpb.OK:
        return None
    kind = _BY_TYPE.get(header.error.type, PdRefused)
    return kind(f"PD refuses {what}: {header.error.message or pdpb.ErrorType.Name(header.error.type)}")


def error_of_status(what: str, address: str, error: grpc.aio.AioRpcError) -> PdError:
    """The error behind a gRPC status."""
    text = f"{what} at PD {address}: {error.details() or error.code().name}"
    if error.code() in _TRANSIENT_CODES:
        return PdUnavailable(text)
    if error.code() is grpc.StatusCode.FAILED_PRECONDITION and "mismatch cluster id" in (error.details() or ""):
        return PdClusterMismatch(f"{text}; check the PD endpoints and the data directory")
    return PdRefused(f"{text} ({error.code().name})")
