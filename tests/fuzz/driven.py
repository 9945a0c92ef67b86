"""Calls of gRPC handlers without gRPC: a context that records how a call ended."""

from __future__ import annotations

from collections import deque
from typing import Any, NoReturn

import grpc

DOCUMENTED = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.UNAVAILABLE,
}
"""Statuses that a server of ours ends a call with; anything else would be gRPC's word for an exception."""


class Aborted(Exception):
    """The call ended with a status."""


class FakeContext:
    """A ServicerContext for one call, or for a stream of the frames given."""

    def __init__(self, frames: list[bytes] | None = None, agent: str = "grpc-go/1.60") -> None:
        self._frames = deque(frames or ())
        self.written: list[bytes] = []
        self.status: grpc.StatusCode | None = None
        self._agent = agent

    async def abort(self, code: grpc.StatusCode, details: str = "") -> NoReturn:
        assert self.status is None, "a call ended twice"
        assert details, "a status without a text"
        details.encode()
        self.status = code
        raise Aborted(details)

    async def read(self) -> Any:
        return self._frames.popleft() if self._frames else grpc.aio.EOF

    async def write(self, data: bytes) -> None:
        self.written.append(data)

    def invocation_metadata(self) -> Any:
        return (("user-agent", self._agent),)

    def time_remaining(self) -> float | None:
        return 1.0


def end_of(context: FakeContext, error: BaseException | None) -> None:
    """Raise what is no documented end of a call."""
    if error is None:
        assert context.status is None
    elif isinstance(error, Aborted):
        assert context.status in DOCUMENTED, context.status
    else:
        raise error
