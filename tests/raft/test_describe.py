"""One stable line for every type."""

from __future__ import annotations

import pytest

from flaredb.raft import (
    ConfChange,
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    Configuration,
    ConfState,
    Entry,
    EntryType,
    HardState,
    Inflights,
    JointConfig,
    LightReady,
    Message,
    MessageType,
    Progress,
    ReadState,
    Snapshot,
    SnapshotMetadata,
    SoftState,
    StateRole,
    describe,
)
from flaredb.raft.describe import _DESCRIBE, Describable

from .group import entry, make_node

FULL = Inflights(1)
FULL.add(3)
SNAPSHOT = Snapshot(b"d", SnapshotMetadata(ConfState([1]), 4, 2))


@pytest.mark.parametrize(
    ("thing", "line"),
    [
        (entry(2, 7, b"put"), '2/7 EntryNormal "put"'),
        (Entry(context=b"\x01", data=b"\xff\x00"), "0/0 EntryNormal 0xff00 ctx=0x01"),
        (Entry(EntryType.EntryConfChangeV2, 1, 2), "1/2 EntryConfChangeV2 leave-joint"),
        (Entry(EntryType.EntryConfChange, 1, 2, b"\xff"), "1/2 EntryConfChange 0xff"),
        (HardState(3, 1, 9), "term=3 vote=1 commit=9"),
        (SoftState(2, StateRole.PreCandidate), "leader=2 role=PreCandidate"),
        (ConfState([2, 1], [3]), "voters=(1 2) learners=(3)"),
        (ConfState([1], [], [2, 1], [2], True), "voters=(1)&&(1 2) learners_next=(2) auto_leave"),
        (SNAPSHOT, 'snapshot(2/4 voters=(1) "d")'),
        (ReadState(5, b"r"), 'read "r" at 5'),
        (ConfChange(ConfChangeType.AddLearnerNode, 4), "l4"),
        (ConfChangeSingle(ConfChangeType.AddNode, 4), "v4"),
        (
            ConfChangeV2(ConfChangeTransition.Explicit, [ConfChangeSingle(ConfChangeType.RemoveNode, 4)], b"c"),
            'Explicit r4 ctx="c"',
        ),
        (JointConfig([2, 1], [3]), "voters=(1 2)&&(3)"),
        (Configuration(JointConfig([1]), (2,)), "voters=(1) learners=(2)"),
        (FULL, "inflight=1 full"),
        (Progress(4, 2), "Probe match=0 next=4 inactive"),
        (
            Message(MessageType.MsgAppend, 2, 1, 3, 2, 7, [entry(3, 8, b"x")], 6),
            '1->2 MsgAppend term=3 log=2/7 commit=6 [3/8 EntryNormal "x"]',
        ),
        (
            Message(MessageType.MsgAppendResponse, 1, 2, 3, 2, 7, reject=True, reject_hint=5, request_snapshot=9),
            "2->1 MsgAppendResponse term=3 log=2/7 reject hint=5 request_snapshot=9",
        ),
        (
            Message(MessageType.MsgRequestVote, 1, 2, 3, context=b"t", priority=-1),
            '2->1 MsgRequestVote term=3 priority=-1 ctx="t"',
        ),
        (
            Message(MessageType.MsgSnapshot, 2, 1, 3, snapshot=SNAPSHOT),
            '1->2 MsgSnapshot term=3 snapshot(2/4 voters=(1) "d")',
        ),
        (LightReady(4, [entry(1, 4)], []), "light commit=4 committed[1/4 EntryNormal]"),
    ],
)
def test_lines(thing: Describable, line: str) -> None:
    assert describe(thing) == line


def test_a_node_its_parts_and_its_readys_are_one_line_each() -> None:
    node = make_node(1, [1, 2])
    node.campaign()
    rd = node.ready()
    assert describe(rd) == (
        "ready 1 must_sync ss(leader=0 role=Candidate) hs(term=1 vote=1 commit=0) "
        "persisted_messages[1->2 MsgRequestVote term=1]"
    )
    things: list[Describable] = [node, node.raft, node.raft.raft_log, node.raft.prs, node.status(), rd]
    for thing in things:
        assert "\n" not in describe(thing)
        assert describe(thing) == describe(thing)
    assert (
        describe(node)
        == describe(node.raft)
        == (
            "1 Candidate leader=0 term=1 vote=1 commit=0 voters=(1 2) "
            "first=1 last=0/0 committed=0 persisted=0 applied=0 unstable=0"
        )
    )


def test_every_type_of_the_union_is_described() -> None:
    assert set(_DESCRIBE) == set(Describable.__args__)
