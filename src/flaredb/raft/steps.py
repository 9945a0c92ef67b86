"""Tables from message types to step functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from .types import Message, MessageType

if TYPE_CHECKING:
    from .raft import Raft

    StepFunction = Callable[[Raft, Message], None]


def ignore(_r: Raft, _m: Message) -> None:
    """A message that means nothing in this role."""


def step_table(steps: Mapping[MessageType, StepFunction]) -> list[StepFunction]:
    """A list indexed by message type; types that are not named are ignored."""
    return [steps.get(kind, ignore) for kind in MessageType]
