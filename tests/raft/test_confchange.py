"""From one configuration to the next, and changes as bytes."""

from __future__ import annotations

import random

import pytest

from flaredb.raft import (
    CodecError,
    ConfChange,
    ConfChangeError,
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    Configuration,
    ConfState,
    Entry,
    EntryType,
    JointConfig,
    ProgressTracker,
    decode_conf_change,
    decode_conf_change_v2,
    decode_entry,
    encode_conf_change,
    encode_conf_change_v2,
)
from flaredb.raft.confchange import changed, check_configuration, enter_joint, leave_joint, restored, simple

KINDS = {"v": ConfChangeType.AddNode, "l": ConfChangeType.AddLearnerNode, "r": ConfChangeType.RemoveNode}


def steps(text: str) -> list[ConfChangeSingle]:
    """`v1 l2 r3` as steps."""
    return [ConfChangeSingle(KINDS[w[0]], int(w[1:])) for w in text.split()]


def conf(voters: list[int], learners: tuple[int, ...] = (), outgoing: tuple[int, ...] = ()) -> Configuration:
    return Configuration(JointConfig(voters, outgoing), learners)


def line(c: Configuration) -> str:
    return str(c.to_conf_state())


@pytest.mark.parametrize(
    ("start", "change", "result"),
    [
        (conf([]), "v1", "voters=(1)"),
        (conf([1]), "v2", "voters=(1 2)"),
        (conf([1, 2]), "v2", "voters=(1 2)"),
        (conf([1, 2]), "r2", "voters=(1)"),
        (conf([1, 2]), "r9", "voters=(1 2)"),
        (conf([1]), "l2 l3", "voters=(1) learners=(2 3)"),
        (conf([1], (2,)), "v2", "voters=(1 2)"),
        (conf([1, 2]), "l2", "voters=(1) learners=(2)"),
        (conf([1], (2,)), "r2 l3", "voters=(1) learners=(3)"),
        (conf([1]), "v0 v2", "voters=(1 2)"),
        (conf([1, 2]), "r2 v2", "voters=(1 2)"),
    ],
)
def test_simple_changes(start: Configuration, change: str, result: str) -> None:
    assert line(simple(start, steps(change))) == result


@pytest.mark.parametrize(
    ("start", "change"),
    [
        (conf([1]), "r1"),
        (conf([1]), "l1"),
        (conf([1]), "v2 v3"),
        (conf([1, 2]), "r1 v3"),
        (conf([1], outgoing=(1, 2)), "v3"),
    ],
)
def test_simple_changes_that_are_refused(start: Configuration, change: str) -> None:
    with pytest.raises(ConfChangeError):
        simple(start, steps(change))


@pytest.mark.parametrize(
    ("start", "change", "joint", "after"),
    [
        (conf([1, 2, 3]), "v4 r3", "voters=(1 2 4)&&(1 2 3)", "voters=(1 2 4)"),
        (conf([1, 2, 3]), "l3", "voters=(1 2)&&(1 2 3) learners_next=(3)", "voters=(1 2) learners=(3)"),
        (conf([1, 2], (3,)), "v3 l2", "voters=(1 3)&&(1 2) learners_next=(2)", "voters=(1 3) learners=(2)"),
        (conf([1, 2]), "l2 v2", "voters=(1 2)&&(1 2)", "voters=(1 2)"),
        (conf([1, 2]), "l2 r2", "voters=(1)&&(1 2)", "voters=(1)"),
        (conf([1]), "l2", "voters=(1)&&(1) learners=(2)", "voters=(1) learners=(2)"),
        (conf([1, 2]), "r1 r2 v3", "voters=(3)&&(1 2)", "voters=(3)"),
    ],
)
def test_joint_changes_and_what_is_left_of_them(start: Configuration, change: str, joint: str, after: str) -> None:
    entered = enter_joint(start, False, steps(change))
    assert line(entered) == joint
    assert line(leave_joint(entered)) == after


def test_joint_changes_that_are_refused() -> None:
    joint = enter_joint(conf([1, 2]), True, steps("v3"))
    for start, change in ((joint, "v4"), (conf([]), "v1"), (conf([1]), "r1")):
        with pytest.raises(ConfChangeError):
            enter_joint(start, True, steps(change))
    with pytest.raises(ConfChangeError):
        leave_joint(conf([1]))
    assert joint.auto_leave
    assert not leave_joint(joint).auto_leave


@pytest.mark.parametrize(
    ("transition", "change", "result"),
    [
        (ConfChangeTransition.Auto, "v3", "voters=(1 2 3)"),
        (ConfChangeTransition.Auto, "v3 l4", "voters=(1 2 3)&&(1 2) learners=(4) auto_leave"),
        (ConfChangeTransition.Implicit, "v3", "voters=(1 2 3)&&(1 2) auto_leave"),
        (ConfChangeTransition.Explicit, "v3", "voters=(1 2 3)&&(1 2)"),
    ],
)
def test_a_transition_decides_whether_a_change_is_joint(
    transition: ConfChangeTransition, change: str, result: str
) -> None:
    assert line(changed(conf([1, 2]), ConfChangeV2(transition, steps(change)))) == result


@pytest.mark.parametrize(
    "broken",
    [
        Configuration(JointConfig([1, 2]), (2,)),
        Configuration(JointConfig([1], [1, 2]), (2,)),
        Configuration(JointConfig([1], [1, 2]), (), (3,)),
        Configuration(JointConfig([1, 2], [1, 2]), (), (2,)),
        Configuration(JointConfig([1]), (), (1,)),
        Configuration(JointConfig([1]), (), (), True),
        Configuration(JointConfig([], [1])),
    ],
    ids=lambda c: line(c),
)
def test_configurations_that_break_a_rule(broken: Configuration) -> None:
    with pytest.raises(ConfChangeError):
        check_configuration(broken)


def test_any_chain_of_changes_keeps_every_rule_and_survives_storing() -> None:
    rng = random.Random(4)
    current = conf([1, 2, 3])
    accepted = 0
    for _ in range(3000):
        change = ConfChangeV2(
            ConfChangeTransition(rng.randrange(3)),
            [ConfChangeSingle(ConfChangeType(rng.randrange(3)), rng.randrange(7)) for _ in range(rng.randrange(4))],
        )
        before = line(current)
        try:
            after = changed(current, change)
        except ConfChangeError:
            assert line(current) == before
            continue
        accepted += 1
        check_configuration(after)
        assert restored(after.to_conf_state()) == after
        if not current.joint() and not after.joint():
            assert len(set(current.voters.incoming) ^ set(after.voters.incoming)) <= 1
        if not current.joint() and after.joint():
            assert after.voters.outgoing == current.voters.incoming
        current = after
    assert accepted > 300


def test_members_that_stay_keep_their_progress_and_new_ones_count_as_active() -> None:
    prs = ProgressTracker(8)
    prs.apply_conf(conf([1, 2]), 5)
    kept = prs.progress[2]
    prs.apply_conf(conf([2, 4], (3,)), 9)
    assert list(prs.progress) == [2, 3, 4]
    assert prs.progress[2] is kept
    assert (prs.progress[4].next_idx, prs.progress[4].recent_active, prs.progress[4].matched) == (9, True, 0)


def test_restoring_a_stored_configuration_checks_it() -> None:
    with pytest.raises(ConfChangeError):
        restored(ConfState([1, 2], [2]))
    assert (
        restored(ConfState([3, 1], [4], [1, 2], [2], True))
        .to_conf_state()
        .equivalent(ConfState([1, 3], [4], [2, 1], [2], True))
    )


# Bytes.


@pytest.mark.parametrize(
    "change",
    [
        ConfChange(),
        ConfChange(ConfChangeType.RemoveNode, 5),
        ConfChange(ConfChangeType.AddLearnerNode, 2**64 - 1, b"\x00ctx\xff", 7),
        ConfChange(context=b"x"),
    ],
)
def test_a_change_survives_its_bytes(change: ConfChange) -> None:
    assert decode_conf_change(encode_conf_change(change)) == change
    assert decode_entry(Entry(EntryType.EntryConfChange, data=encode_conf_change(change))) == change.as_v2()


@pytest.mark.parametrize(
    "change",
    [
        ConfChangeV2(),
        ConfChangeV2(ConfChangeTransition.Explicit),
        ConfChangeV2(ConfChangeTransition.Implicit, steps("v1 l300 r70000"), b"ctx"),
        ConfChangeV2(changes=steps("r1")),
    ],
)
def test_a_change_of_many_steps_survives_its_bytes(change: ConfChangeV2) -> None:
    assert decode_conf_change_v2(encode_conf_change_v2(change)) == change


def test_the_empty_entry_leaves_a_joint_configuration() -> None:
    assert encode_conf_change_v2(ConfChangeV2()) == b""
    assert decode_entry(Entry(EntryType.EntryConfChangeV2)).leave_joint()


def test_the_encoding_is_compact_and_fixed() -> None:
    assert encode_conf_change(ConfChange(ConfChangeType.RemoveNode, 300, b"c")).hex() == "01ac020063"
    assert encode_conf_change_v2(ConfChangeV2(ConfChangeTransition.Explicit, steps("l3"))).hex() == "02010203"


@pytest.mark.parametrize("data", [b"\x00", b"\x80", b"\x09\x01\x00", b"\x00" + b"\xff" * 12])
def test_bytes_that_are_no_change(data: bytes) -> None:
    with pytest.raises(CodecError):
        decode_conf_change(data)


@pytest.mark.parametrize("data", [b"\x00", b"\x07\x00", b"\x00\x02\x00\x01", b"\x00\x01\x05\x01"])
def test_bytes_that_are_no_change_of_many_steps(data: bytes) -> None:
    with pytest.raises(CodecError):
        decode_conf_change_v2(data)


def test_random_bytes_either_decode_or_raise_codec_errors() -> None:
    rng = random.Random(9)
    for _ in range(5000):
        data = rng.randbytes(rng.randrange(12))
        for decode in (decode_conf_change, decode_conf_change_v2):
            try:
                decode(data)
            except CodecError:
                continue
