"""R15. Acknowledgements and votes of members that are no voters were counted while the membership changed, and
acknowledged inserts were lost (YugabyteDB 1.1.9). A quorum is one of voters, and while two configurations hold, of
each.
"""

from __future__ import annotations

import random
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

from flaredb.raft import (
    ConfChange,
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    ConfState,
    MemStorage,
    MessageType,
    RawNode,
    StateRole,
)
from flaredb.raft.quorum import JointConfig, committed_index
from flaredb.raft.tracker import ProgressTracker
from tests.raft import test_historic
from tests.raft.group import Group, config
from tests.scenarios.promises import breaks, promise
from tests.store import test_move

LEFT, RIGHT = (1, 4, 5), (2, 3)


def learners_count() -> AbstractContextManager[Any]:
    """Entries are committed by a majority of all members."""

    def maximal_committed_index(self: ProgressTracker) -> int:
        return committed_index(tuple(self.progress), {i: pr.matched for i, pr in self.progress.items()})

    return patch.object(ProgressTracker, "maximal_committed_index", maximal_committed_index)


def new_half_decides() -> AbstractContextManager[Any]:
    """While two configurations hold, a majority of the new one is enough."""

    def reached(self: JointConfig, acked: Any) -> int:
        return committed_index(self.incoming, acked)

    return patch.object(JointConfig, "committed_index", reached)


def members(count: int, voters: list[int]) -> Group:
    learners = [i for i in range(1, count + 1) if i not in voters]

    def make(i: int) -> RawNode:
        return RawNode(config(i), MemStorage.new_with_conf_state(ConfState(voters, learners)), random.Random(i))

    return Group({i: make(i) for i in range(1, count + 1)})


def part(group: Group) -> None:
    """The old leader is with the newcomers, the other old voters are by themselves."""
    group.cut = {(i, j) for i in LEFT for j in RIGHT} | {(j, i) for i in LEFT for j in RIGHT}


def both_sides_write(group: Group) -> None:
    """Each side does what it can; then all can hear each other, and must agree on what was applied."""
    group[1].propose(b"", b"left")
    group.settle()
    for _ in range(3):
        group[2].campaign()
        group.settle()
    if group[2].raft.state is StateRole.Leader:
        group[2].propose(b"", b"right")
        group.settle()
    group.heal()
    for i in (1, 2):
        group[i].ping()
    group.settle()
    applied = {i: {e.index: (e.term, e.data) for e in group.applied[i]} for i in group.nodes}
    for i in LEFT:
        for j in RIGHT:
            both = applied[i].keys() & applied[j].keys()
            different = [index for index in sorted(both) if applied[i][index] != applied[j][index]]
            promise(not different, f"members {i} and {j} applied different entries at index {different}")


def learners_on_one_side() -> None:
    """Two learners have joined, one after the other; with them the old leader has three of five, but one of three."""
    group = members(3, [1, 2, 3])
    group.elect(1)
    for newcomer in (4, 5):
        group.nodes[newcomer] = RawNode(
            config(newcomer), MemStorage.new_with_conf_state(ConfState([1, 2, 3], [newcomer])), random.Random(newcomer)
        )
        group.applied[newcomer] = []
        group[1].propose_conf_change(b"", ConfChange(ConfChangeType.AddLearnerNode, newcomer))
        group.settle()
    assert group[2].raft.prs.conf.learners == (4, 5)
    part(group)
    both_sides_write(group)


def joint_on_one_side() -> None:
    """4 and 5, which have caught up, are to take the places of 2 and 3. The change is committed by 1 and 2, and only
    the side of 1 knows that it is.
    """
    group = members(5, [1, 2, 3])
    group.elect(1)
    steps = [ConfChangeSingle(ConfChangeType.AddNode, i) for i in (4, 5)]
    steps += [ConfChangeSingle(ConfChangeType.AddLearnerNode, i) for i in (2, 3)]
    group[1].propose_conf_change(b"", ConfChangeV2(ConfChangeTransition.Explicit, steps))
    group.collect()
    group.deliver()
    group.collect()
    part(group)
    group.queue = [m for m in group.queue if m.msg_type == MessageType.MsgAppendResponse and m.from_ != 3]
    late, group.cut = group.cut, set()
    group.deliver()
    group.cut = late
    group.settle()
    assert [group[i].raft.prs.conf.joint() for i in (*LEFT, *RIGHT)] == [True] * 3 + [False] * 2
    both_sides_write(group)


def test_r15_members_that_are_no_voters_decide_nothing() -> None:
    learners_on_one_side()
    test_historic.test_a_learner_is_not_counted_before_its_promotion_is_applied()
    test_move.test_a_learner_counts_in_no_quorum()


def test_r15_both_halves_of_a_joint_configuration_decide() -> None:
    joint_on_one_side()


def test_r15_without_counting_voters_only_two_sides_commit_different_entries() -> None:
    breaks(learners_on_one_side, learners_count, r"members 1 and 2 applied different entries at index \[\d")


def test_r15_without_the_other_half_two_sides_commit_different_entries() -> None:
    breaks(joint_on_one_side, new_half_decides, r"members 1 and 2 applied different entries at index \[\d")
