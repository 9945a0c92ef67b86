"""The vocabulary of plans: what a plan wants next, and what it is sent back.

    step        outcome
    AskStore    the command's result (model/commands.py), or a Trouble (model/outcomes.py)
    AskPd       None: PD has answered and the cache was told; NotSent: it could not be asked
    Wait        None
    Together    a list: per plan its result, or the ClientError that it raised

A plan ends with its result, or by raising a ClientError.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

from flaredb.client.region_cache import Route
from flaredb.model.commands import Command


@dataclass(slots=True)
class AskStore:
    """Send a command to the replica of ``route``. Outcome Lost if no answer came until ``due_ms``."""

    command: Command
    route: Route
    due_ms: int
    ttl_s: int = 0
    """Of a write's values; 0: they stay."""


@dataclass(slots=True)
class AskPd:
    """Which regions hold ``key`` (``below``: the keys just below it) and what comes after, ``count`` in all?"""

    key: bytes
    due_ms: int
    count: int = 1
    below: bool = False


@dataclass(slots=True)
class Wait:
    """Let time pass."""

    duration_ms: int


@dataclass(slots=True)
class Together:
    """Pursue plans at the same time, at most ``at_once`` of them."""

    plans: Sequence[Plan]
    at_once: int


Step = AskStore | AskPd | Wait | Together
Plan = Generator[Step, Any, Any]
