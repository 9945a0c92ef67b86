"""A call as the handlers see it, whichever front end carries it: bytes in, one answer or one status out.

A handler is a plain function that returns at once; the answer may follow later, from a step of the store. So a call
needs neither a task nor a future unless its front end wants one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal, Protocol


class Status(IntEnum):
    """The gRPC statuses that are used here, by their numbers on the wire."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    RESOURCE_EXHAUSTED = 8
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14


class Reply(Protocol):
    """Where the answer of a call goes: ``answer`` or ``fail``, once. Once the call is over, both do nothing."""

    @property
    def user_agent(self) -> str:
        """What the client calls itself; "" if it does not say."""
        ...

    @property
    def is_over(self) -> bool:
        """The call has its answer, or its client has given up."""
        ...

    def answer(self, data: bytes) -> None:
        """The encoded response of a unary call."""
        ...

    def fail(self, status: Status, text: str) -> None:
        """End the call with a status other than OK."""
        ...


UnaryHandler = Callable[[bytes, Reply], None]
"""Takes an encoded request; answers now or later."""

RouteKind = Literal["unary", "server-stream", "stream"]


@dataclass(frozen=True, slots=True)
class Route:
    """One method: its shape, and who serves it. ``serve`` of a unary method is a UnaryHandler; of a server stream the
    same with a reply that has ``send`` too; of a stream it takes the stream and returns who gets its messages.
    """

    kind: RouteKind
    serve: Callable[..., Any] | None
    refusal: str = ""
    """Why calls are UNIMPLEMENTED, where nothing serves them."""
