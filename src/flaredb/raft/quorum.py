"""Majorities, alone and in joint configurations."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from enum import IntEnum
from typing import Final

INDEX_UNBOUNDED: Final = 2**64 - 1
"""What an empty half of a joint configuration has committed: it never holds the other half back."""


class VoteResult(IntEnum):
    """The state of a vote."""

    Pending = 0
    Lost = 1
    Won = 2


def majority(count: int) -> int:
    """How many of `count` voters make a majority."""
    return count // 2 + 1


def committed_index(voters: tuple[int, ...], acked: Mapping[int, int]) -> int:
    """The largest index that a majority of voters has reached; voters without an entry in `acked` are at 0."""
    if not voters:
        return INDEX_UNBOUNDED
    reached = sorted([acked.get(v, 0) for v in voters])
    return reached[(len(reached) - 1) // 2]


def vote_result(voters: tuple[int, ...], votes: Mapping[int, bool]) -> VoteResult:
    """How a vote stands; an empty half of a joint configuration agrees with everything."""
    if not voters:
        return VoteResult.Won
    yes = sum(1 for v in voters if votes.get(v) is True)
    missing = sum(1 for v in voters if v not in votes)
    needed = majority(len(voters))
    if yes >= needed:
        return VoteResult.Won
    return VoteResult.Pending if yes + missing >= needed else VoteResult.Lost


class JointConfig:
    """The voters: one majority, or two that must both agree (dissertation section 4.3).

    Invariant: both halves are sorted and free of duplicates; outgoing is empty unless joint.
    """

    __slots__ = ("incoming", "outgoing")

    def __init__(self, incoming: Iterable[int] = (), outgoing: Iterable[int] = ()) -> None:
        self.incoming = tuple(sorted(set(incoming)))
        self.outgoing = tuple(sorted(set(outgoing)))

    def __contains__(self, node_id: int) -> bool:
        return node_id in self.incoming or node_id in self.outgoing

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, JointConfig):
            return NotImplemented
        return self.incoming == other.incoming and self.outgoing == other.outgoing

    __hash__ = None  # type: ignore[assignment]

    def ids(self) -> tuple[int, ...]:
        """All voters of either half, sorted."""
        if not self.outgoing:
            return self.incoming
        return tuple(sorted({*self.incoming, *self.outgoing}))

    def is_singleton(self) -> bool:
        """True when a single voter decides alone."""
        return not self.outgoing and len(self.incoming) == 1

    def committed_index(self, acked: Mapping[int, int]) -> int:
        """The largest index that majorities of both halves have reached."""
        reached = committed_index(self.incoming, acked)
        return min(reached, committed_index(self.outgoing, acked)) if self.outgoing else reached

    def vote_result(self, votes: Mapping[int, bool]) -> VoteResult:
        """Won needs both halves, lost takes one."""
        a, b = vote_result(self.incoming, votes), vote_result(self.outgoing, votes)
        if a == b:
            return a
        return VoteResult.Lost if VoteResult.Lost in (a, b) else VoteResult.Pending

    def has_quorum(self, ids: Container[int]) -> bool:
        """True when `ids` hold a majority of each half; members that are not voters do not count."""
        return _has_majority(self.incoming, ids) and _has_majority(self.outgoing, ids)


def _has_majority(voters: tuple[int, ...], ids: Container[int]) -> bool:
    return not voters or sum(1 for v in voters if v in ids) >= majority(len(voters))
