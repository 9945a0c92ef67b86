"""The configuration, the members' progress and the votes of the running election."""

from __future__ import annotations

from collections.abc import Container, ItemsView

from .progress import Progress
from .quorum import JointConfig, VoteResult
from .types import NO_LIMIT, ConfState


class Configuration:
    """Who takes part. Never changed in place: a change makes a new one.

    Invariants (checked in confchange.check_configuration): learners are in neither half of the voters; learners_next
    are in the outgoing half and not in learners; without an outgoing half, learners_next is empty and auto_leave is
    False. All tuples are sorted.
    """

    __slots__ = ("auto_leave", "learners", "learners_next", "voters")

    def __init__(
        self,
        voters: JointConfig | None = None,
        learners: tuple[int, ...] = (),
        learners_next: tuple[int, ...] = (),
        auto_leave: bool = False,
    ) -> None:
        self.voters = voters or JointConfig()
        self.learners = tuple(sorted(set(learners)))
        self.learners_next = tuple(sorted(set(learners_next)))
        self.auto_leave = auto_leave

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Configuration):
            return NotImplemented
        return (
            self.voters == other.voters
            and self.learners == other.learners
            and self.learners_next == other.learners_next
            and self.auto_leave == other.auto_leave
        )

    __hash__ = None  # type: ignore[assignment]

    def joint(self) -> bool:
        """True while two majorities must agree."""
        return bool(self.voters.outgoing)

    def members(self) -> set[int]:
        """Everyone who is sent entries."""
        return {*self.voters.incoming, *self.voters.outgoing, *self.learners}

    def to_conf_state(self) -> ConfState:
        """The configuration in its stored form."""
        return ConfState(
            list(self.voters.incoming),
            list(self.learners),
            list(self.voters.outgoing),
            list(self.learners_next),
            self.auto_leave,
        )


class ProgressTracker:
    """Who takes part and how far they are.

    Invariants: progress has exactly the members of conf, in ascending id order, so that whatever goes through it is
    the same in every run.
    """

    __slots__ = ("conf", "max_inflight", "max_inflight_bytes", "progress", "votes")

    def __init__(self, max_inflight: int, max_inflight_bytes: int = NO_LIMIT) -> None:
        self.progress: dict[int, Progress] = {}
        self.conf = Configuration()
        self.votes: dict[int, bool] = {}
        self.max_inflight = max_inflight
        self.max_inflight_bytes = max_inflight_bytes

    def get(self, node_id: int) -> Progress | None:
        """A member's progress."""
        return self.progress.get(node_id)

    def items(self) -> ItemsView[int, Progress]:
        """All members with their progress, by ascending id."""
        return self.progress.items()

    def is_singleton(self) -> bool:
        """True when a single voter decides alone."""
        return self.conf.voters.is_singleton()

    def maximal_committed_index(self) -> int:
        """The largest index that is persisted on a quorum of the voters (of both halves while joint)."""
        progress = self.progress
        voters = self.conf.voters
        if voters.outgoing:
            return voters.committed_index({i: pr.matched for i, pr in progress.items()})
        reached = [progress[v].matched for v in voters.incoming]
        reached.sort()
        return reached[(len(reached) - 1) // 2]

    def lease_start(self) -> int:
        """The leader's time at or after which a quorum has been heard to follow it."""
        return self.conf.voters.committed_index({i: pr.lease_tick for i, pr in self.progress.items()})

    def reset_votes(self) -> None:
        """Start counting anew."""
        self.votes = {}

    def record_vote(self, node_id: int, granted: bool) -> None:
        """Count a vote; a node's first answer in an election counts, repetitions do not."""
        self.votes.setdefault(node_id, granted)

    def tally_votes(self) -> tuple[int, int, VoteResult]:
        """Votes granted and refused by current voters, and how the election stands."""
        voters = self.conf.voters
        given = [v for i, v in self.votes.items() if i in voters]
        granted = sum(given)
        return granted, len(given) - granted, voters.vote_result(self.votes)

    def has_quorum(self, ids: Container[int]) -> bool:
        """True when `ids` hold a quorum; the only correct way to ask, since there may be two majorities."""
        return self.conf.voters.has_quorum(ids)

    def quorum_recently_active(self, perspective_of: int) -> bool:
        """True when the leader heard from a quorum since it last asked; asking forgets what was heard."""
        active = {i for i, pr in self.progress.items() if pr.recent_active or i == perspective_of}
        for i, pr in self.progress.items():
            pr.was_active, pr.recent_active = pr.recent_active, i == perspective_of
        return self.has_quorum(active)

    def apply_conf(self, conf: Configuration, next_idx: int) -> None:
        """Switch to a configuration. Members that stay keep their progress, new ones start at next_idx.

        New members count as recently active, or a quorum check right after could depose the leader before they had a
        chance to speak.
        """
        old = self.progress
        fresh: dict[int, Progress] = {}
        for node_id in sorted(conf.members()):
            pr = old.get(node_id)
            if pr is None:
                pr = Progress(next_idx, self.max_inflight, self.max_inflight_bytes)
                pr.recent_active = True
            fresh[node_id] = pr
        self.progress = fresh
        self.conf = conf

    def clear(self) -> None:
        """Forget configuration, progress and votes."""
        self.progress = {}
        self.conf = Configuration()
        self.votes = {}
