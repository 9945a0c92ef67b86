"""From replicas to wanted replicas: the steps, and that a living quorum holds at each of them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flaredb.model.cluster import DownPeer
from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.model.region import Peer, PeerRole, Region, RegionEpoch
from flaredb.pd.builder import BuildContext, BuildError, build
from flaredb.pd.region_tree import RegionRecord
from flaredb.pd.steps import AddLearner, EnterJoint, LeaveJoint, PromoteLearner, RemovePeer, Step, TransferLeader

V, L = PeerRole.VOTER, PeerRole.LEARNER


def record_of(peers: dict[int, PeerRole], leader: int, pending: Sequence[int] = (), down: Sequence[int] = ()):
    """Peer ids are 100 + store."""
    made = {store: Peer(PeerId(100 + store), StoreId(store), role) for store, role in peers.items()}
    region = Region(RegionId(1), b"", b"", RegionEpoch(1, 1), tuple(made.values()))
    return RegionRecord(
        region,
        made[leader],
        6,
        tuple(DownPeer(made[store], 99) for store in down),
        tuple(made[store] for store in pending),
        is_reported=True,
    )


def context_of(dead: Sequence[int] = (), *, joint: bool = True, no_leaders: Sequence[int] = ()) -> BuildContext:
    """New replicas get the ids 201, 202 ..."""
    ids = iter(range(201, 999))
    return BuildContext(
        is_live=lambda store: store not in dead,
        leader_refusal=lambda store: "evicted" if store in no_leaders else "",
        leader_load=lambda store: 0.0,
        take_id=lambda: next(ids),
        joint=joint,
    )


def short(steps: Sequence[Step]) -> list[str]:
    """+4: learner on store 4; ^4: it votes; >2: store 2 leads; -1: gone; J..., J: in and out of a joint change."""
    words = []
    for step in steps:
        match step:
            case AddLearner(at):
                words.append(f"+{at.store_id}")
            case PromoteLearner(at):
                words.append(f"^{at.store_id}")
            case RemovePeer(at):
                words.append(f"-{at.store_id}")
            case TransferLeader(_, at):
                words.append(f">{at.store_id}")
            case EnterJoint(promotes, demotes):
                changes = [f"^{at.store_id}" for at in promotes] + [f"v{at.store_id}" for at in demotes]
                words.append("J" + "".join(changes))
            case LeaveJoint():
                words.append("J")
    return words


THREE = {1: V, 2: V, 3: V}
PLANS = [
    ("a missing replica is added", {1: V, 2: V}, 1, THREE, None, {}, "+3 ^3"),
    ("a replica moves in one joint change", THREE, 1, {1: V, 2: V, 4: V}, None, {}, "+4 J^4v3 J -3"),
    ("a leader moves away before its replica does", THREE, 1, {2: V, 3: V, 4: V}, None, {}, "+4 >2 J^4v1 J -1"),
    ("without joint changes, step by step", THREE, 1, {2: V, 3: V, 4: V}, None, {"joint": False}, "+4 ^4 >2 -1"),
    ("the leader goes where it is wanted", THREE, 1, {2: V, 3: V, 4: V}, 3, {}, "+4 >3 J^4v1 J -1"),
    ("a newcomer leads in the end", THREE, 1, {2: V, 3: V, 4: V}, 4, {}, "+4 >2 J^4v1 J >4 -1"),
    ("only the leader changes", THREE, 1, THREE, 3, {}, ">3"),
    ("a surplus replica goes", {1: V, 2: V, 3: V, 4: V}, 1, THREE, None, {}, "-4"),
    ("a surplus leader hands over and goes", {1: V, 2: V, 3: V, 4: V}, 4, THREE, None, {}, ">1 -4"),
    ("a store that takes no leaders is not chosen", THREE, 1, {2: V, 3: V, 4: V}, None, {"no_leaders": (2,)}, None),
    ("a dead replica is replaced", THREE, 1, {1: V, 2: V, 4: V}, None, {"dead": (3,)}, "+4 J^4v3 J -3"),
    ("the only replica moves by single steps", {1: V}, 1, {2: V}, None, {}, "+2 ^2 >2 -1"),
    ("a left-over learner is promoted", {1: V, 2: V, 3: L}, 1, THREE, None, {}, "^3"),
    ("a learner is added and stays one", THREE, 1, {**THREE, 4: L}, None, {}, "+4"),
    ("a learner moves and stays one", {**THREE, 4: L}, 1, {**THREE, 5: L}, None, {}, "+5 -4"),
    ("all but the leader move at once", THREE, 1, {1: V, 4: V, 5: V}, None, {}, "+4 +5 J^4^5v2v3 J -2 -3"),
    ("two come, none goes: no joint change", {1: V}, 1, THREE, None, {}, "+2 +3 ^2 ^3"),
    ("two go at once", {1: V, 2: V, 3: V, 4: V, 5: V}, 1, THREE, None, {}, "Jv4v5 J -4 -5"),
]


@pytest.mark.parametrize(("sentence", "now", "leader", "wanted", "to", "options", "plan"), PLANS)
def test_plans(sentence, now, leader, wanted, to, options, plan) -> None:
    steps = build(record_of(now, leader), wanted, context_of(**options), to).steps
    assert short(steps) == (plan or "+4 >3 J^4v1 J -1").split()


REFUSALS = [
    ("nothing to do", THREE, 1, THREE, None, {}, {}, "the region is so already"),
    ("no voter left", THREE, 1, {}, None, {}, {}, "no voter would be left"),
    ("a dead target", THREE, 1, {**THREE, 4: V}, None, {"dead": (4,)}, {}, "store 4, which should get a replica"),
    ("the last living quorum", THREE, 1, {1: V, 3: V}, None, {"dead": (3,)}, {}, "leave 1 of 2 voters alive"),
    ("a quorum of laggards", THREE, 1, {1: V, 2: V}, None, {}, {"pending": (2,)}, "leave 1 of 2 voters alive"),
    ("a leader that lags", THREE, 1, THREE, 2, {}, {"pending": (2,)}, "which should lead, is down or lags"),
    ("a leader without a vote", {**THREE, 4: L}, 1, {**THREE, 4: L}, 4, {}, {}, "will hold no voter"),
    ("demotion", THREE, 1, {1: V, 2: V, 3: L}, None, {}, {}, "is not made a learner"),
    ("a learner that lags", {**THREE, 4: L}, 1, {**THREE, 4: V}, None, {}, {"pending": (4,)}, "does not keep up"),
]


@pytest.mark.parametrize(("sentence", "now", "leader", "wanted", "to", "options", "state", "reason"), REFUSALS)
def test_refusals(sentence, now, leader, wanted, to, options, state, reason) -> None:
    with pytest.raises(BuildError, match=reason):
        build(record_of(now, leader, **state), wanted, context_of(**options), to)


def test_a_region_in_a_joint_configuration_or_without_a_leader_is_left_alone() -> None:
    record = record_of({1: V, 2: V, 3: PeerRole.INCOMING_VOTER}, 1)
    with pytest.raises(BuildError, match="joint configuration"):
        build(record, THREE, context_of())
    record = record_of(THREE, 1)
    record.leader = None
    with pytest.raises(BuildError, match="nobody is known to lead"):
        build(record, THREE, context_of(), StoreId(2))


@settings(max_examples=600, deadline=None)
@given(data=st.data())
def test_every_configuration_on_the_way_has_a_living_quorum_and_a_living_leader(data: st.DataObject) -> None:
    stores = list(range(1, 9))
    now = data.draw(st.dictionaries(st.sampled_from(stores), st.sampled_from([V, V, V, L]), min_size=1, max_size=6))
    voters = [store for store, role in now.items() if role == V]
    if not voters:
        return
    dead = set(data.draw(st.lists(st.sampled_from(stores), max_size=4)))
    leaders = [store for store in voters if store not in dead]
    if not leaders or sum(store not in dead for store in voters) * 2 <= len(voters):
        return
    wanted = data.draw(st.dictionaries(st.sampled_from(stores), st.sampled_from([V, V, V, L]), max_size=6))
    leader = data.draw(st.sampled_from(leaders))
    to = data.draw(st.one_of(st.none(), st.sampled_from(stores)))
    joint = data.draw(st.booleans())
    try:
        steps = build(record_of(now, leader), wanted, context_of(tuple(dead), joint=joint), to).steps
    except BuildError:
        return
    roles = dict(now)
    for step in steps:
        leader = walk(roles, leader, step, dead)
    assert roles == wanted
    assert to is None or leader == to


def walk(roles: dict[int, PeerRole], leader: int, step: Step, dead: set[int]) -> int:
    """Play one step and check what a leader and its followers would insist on."""
    configurations = []
    match step:
        case AddLearner(at):
            assert at.store_id not in roles
            assert at.store_id not in dead
            roles[at.store_id] = L
        case PromoteLearner(at):
            assert roles[at.store_id] == L
            assert at.store_id not in dead
            roles[at.store_id] = V
        case RemovePeer(at):
            assert at.store_id != leader
            del roles[at.store_id]
        case TransferLeader(source, at):
            assert source == leader
            assert roles[at.store_id] == V
            leader = at.store_id
        case EnterJoint(promotes, demotes):
            configurations.append([store for store, role in roles.items() if role == V])
            assert leader not in [at.store_id for at in demotes]
            for at in promotes:
                assert roles[at.store_id] == L
                roles[at.store_id] = V
            for at in demotes:
                assert roles[at.store_id] == V
                roles[at.store_id] = L
    configurations.append([store for store, role in roles.items() if role == V])
    assert leader in configurations[-1]
    assert leader not in dead
    for voters in configurations:
        assert sum(store not in dead for store in voters) * 2 > len(voters), (step, voters, dead)
    return leader
