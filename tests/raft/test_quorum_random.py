"""Majorities and changes of configuration against a second implementation that is slow and plain on purpose.

The second one tries every subset of voters, and applies changes to a table of roles. It shares no idea with the core.
"""

from __future__ import annotations

import random
from itertools import combinations

import pytest

from flaredb.raft import (
    ConfChangeError,
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    Configuration,
    JointConfig,
    VoteResult,
)
from flaredb.raft.confchange import changed
from flaredb.raft.tracker import ProgressTracker

IDS = range(1, 8)
QUORUM_CASES = 30_000
CHANGE_CASES = 30_000

# Majorities: a set of voters decides when it is more than half, found by trying.


def deciding(voters: set[int]) -> list[set[int]]:
    """Every set of voters that is more than half of them; no voters: nobody is needed."""
    if not voters:
        return [set()]
    return [set(some) for k in range(len(voters) + 1) for some in combinations(voters, k) if 2 * k > len(voters)]


def plain_committed(halves: list[set[int]], acked: dict[int, int]) -> int:
    """The largest index, by trying all, that deciding sets of every half have reached."""
    for index in sorted({0, *acked.values()}, reverse=True):
        if all(any(all(acked.get(v, 0) >= index for v in d) for d in deciding(half)) for half in halves):
            return index
    raise AssertionError("0 is always reached")


def plain_vote(halves: list[set[int]], votes: dict[int, bool]) -> VoteResult:
    """Won when deciding sets said yes; lost when they no longer can."""

    def possible(takes_missing: bool) -> bool:
        return all(any(all(votes.get(v, takes_missing) for v in d) for d in deciding(half)) for half in halves)

    if possible(takes_missing=False):
        return VoteResult.Won
    return VoteResult.Pending if possible(takes_missing=True) else VoteResult.Lost


def some(rng: random.Random, least: int = 0) -> set[int]:
    return set(rng.sample(IDS, rng.randint(least, len(IDS))))


@pytest.mark.parametrize("seed", range(3))
def test_majorities(seed: int) -> None:
    rng = random.Random(seed)
    for case in range(QUORUM_CASES // 3):
        incoming, outgoing = some(rng, 1), some(rng) if rng.random() < 0.6 else set()
        config = JointConfig(incoming, outgoing)
        halves = [incoming, outgoing]
        acked = {i: rng.randint(0, 9) for i in some(rng)}
        votes = {i: rng.random() < 0.5 for i in some(rng)}
        heard = some(rng)
        told = f"seed {seed} case {case}: {incoming} {outgoing}"
        assert config.committed_index(acked) == plain_committed(halves, acked), f"{told} {acked}"
        assert config.vote_result(votes) is plain_vote(halves, votes), f"{told} {votes}"
        assert config.has_quorum(heard) is all(any(d <= heard for d in deciding(half)) for half in halves), told


def test_a_leaders_count_of_matches() -> None:
    """The tracker counts in its own way when not joint, and must not count learners."""
    rng = random.Random(1)
    for case in range(3000):
        incoming, outgoing = some(rng, 1), some(rng) if rng.random() < 0.4 else set()
        learners = some(rng) - incoming - outgoing
        prs = ProgressTracker(8)
        prs.apply_conf(Configuration(JointConfig(incoming, outgoing), tuple(learners)), 1)
        for pr in prs.progress.values():
            pr.matched = rng.randint(0, 9)
            pr.recent_active = rng.random() < 0.5
        acked = {i: pr.matched for i, pr in prs.progress.items()}
        active = {i for i, pr in prs.progress.items() if pr.recent_active}
        halves = [incoming, outgoing]
        wanted = plain_committed(halves, {i: n for i, n in acked.items() if i not in learners})
        assert prs.maximal_committed_index() == wanted, f"case {case}: {halves} {learners} {acked}"
        me = rng.choice(sorted(incoming))
        expected = all(any(d <= active | {me} for d in deciding(half)) for half in halves)
        assert prs.quorum_recently_active(me) is expected, f"case {case}"


# Changes of configuration: a table id -> (role now, role before the joint configuration).

Roles = dict[int, tuple[str, str]]
"""Now: voter, learner, next (a learner as soon as it is left) or out. Before: voter or out."""


class Refused(Exception):
    """The plain implementation refuses the change."""


def plain_step(roles: Roles, change: ConfChangeSingle) -> None:
    now, before = roles.get(change.node_id, ("out", "out"))
    if change.node_id == 0:
        return
    if change.change_type is ConfChangeType.AddNode:
        now = "voter"
    elif change.change_type is ConfChangeType.RemoveNode:
        now = "out"
    else:
        now = "next" if before == "voter" else "learner"
    roles[change.node_id] = (now, before)


def voters(roles: Roles, when: int) -> set[int]:
    return {i for i, pair in roles.items() if pair[when] == "voter"}


def plain_changed(roles: Roles, change: ConfChangeV2) -> tuple[Roles, bool]:
    """The table after a change, and whether it is left automatically."""
    joint = bool(voters(roles, 1))
    leaves = change.transition is ConfChangeTransition.Auto and not change.changes
    if leaves:
        if not joint:
            raise Refused("nothing to leave")
        return {i: ("learner" if now == "next" else now, "out") for i, (now, _) in roles.items()}, False
    if joint or not voters(roles, 0):
        raise Refused("one change at a time, and somebody must decide it")
    enters = change.transition is not ConfChangeTransition.Auto or len(change.changes) > 1
    after = {i: (now, now if enters and now == "voter" else "out") for i, (now, _) in roles.items()}
    for step in change.changes:
        plain_step(after, step)
    if not voters(after, 0):
        raise Refused("nobody would be left to decide")
    if not enters and len(voters(after, 0) ^ voters(roles, 0)) > 1:
        raise Refused("more than one voter at once")
    return after, enters and change.transition is not ConfChangeTransition.Explicit


def as_roles(conf: Configuration) -> Roles:
    """What the core says, as a table; checks that nobody has two roles."""
    named = {"voter": conf.voters.incoming, "learner": conf.learners, "next": conf.learners_next}
    now = [(i, role) for role, ids in named.items() for i in ids]
    assert len({i for i, _ in now}) == len(now), "two roles at once"
    table = dict(now)
    outgoing = conf.voters.outgoing
    return {i: (table.get(i, "out"), "voter" if i in outgoing else "out") for i in {*table, *outgoing}}


def without_strangers(roles: Roles) -> Roles:
    return {i: pair for i, pair in roles.items() if pair != ("out", "out")}


def some_change(rng: random.Random) -> ConfChangeV2:
    count = rng.choice((0, 1, 1, 2, 3))
    steps = [ConfChangeSingle(rng.choice(list(ConfChangeType)), rng.randint(0, 7)) for _ in range(count)]
    return ConfChangeV2(rng.choice(list(ConfChangeTransition)), steps)


@pytest.mark.parametrize("seed", range(3))
def test_changes_of_configuration(seed: int) -> None:
    rng = random.Random(seed)
    accepted = 0
    conf = Configuration(JointConfig([1, 2, 3]))
    roles = as_roles(conf)
    for case in range(CHANGE_CASES // 3):
        if case % 50 == 0:
            conf = Configuration(JointConfig(some(rng, 1)))
            roles = as_roles(conf)
        change = some_change(rng)
        if conf.joint() and rng.random() < 0.5:
            change = ConfChangeV2()
        told = f"seed {seed} case {case}: {conf.to_conf_state()} {change}"
        try:
            expected, auto_leave = plain_changed(roles, change)
        except Refused:
            with pytest.raises(ConfChangeError):
                changed(conf, change)
            continue
        conf = changed(conf, change)
        roles = without_strangers(expected)
        assert as_roles(conf) == roles, told
        assert conf.auto_leave is auto_leave, told
        accepted += 1
    assert accepted > CHANGE_CASES // 10, "most changes were refused: little was compared"
