"""One operator's life, judged by reports: sent, repeated, finished, given up, replaced, remembered."""

from __future__ import annotations

import pytest

from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.model.orders import ChangeKind, ChangePeers, PeerChange, RegionOrder, TransferLeader
from flaredb.model.region import Peer, PeerRole, RegionEpoch
from flaredb.pd.messages import OperatorStatus, SendOrder
from flaredb.pd.operator import Kind, Operator, Priority
from flaredb.pd.planning import planned
from flaredb.pd.steps import AddLearner, EnterJoint, LeaveJoint, PeerAt, PromoteLearner, RemovePeer
from flaredb.pd.steps import TransferLeader as TransferStep
from tests.pd.helpers import heartbeat, region
from tests.pd.rig import NOW_MS, L, Rig, V

ONE = RegionId(1)
MINUTE_MS = 60_000


def rig_with_move(**settings) -> tuple[Rig, Operator]:
    """Region 1 moves from store 3 to store 4, without joint changes unless asked for."""
    settings.setdefault("enable_joint_consensus", False)
    rig = Rig(**settings)
    record = rig.region(1, [1, 2, 3])
    operator = planned(rig.view, record, "move", {1: V, 2: V, 4: V}, Priority.BALANCE)
    assert rig.controller.add(operator) == ""
    return rig, operator


def sends(rig: Rig) -> list[SendOrder]:
    taken, rig.controller.sends = rig.controller.sends, []
    return taken


def reported(rig: Rig, peers, **fields) -> None:
    rig.region(1, peers, **fields)
    rig.controller.on_report(ONE)


def order(conf_ver: int, step, leader: int = 1) -> SendOrder:
    target = Peer(PeerId(100 + leader), StoreId(leader))
    return SendOrder(StoreId(leader), RegionOrder(ONE, RegionEpoch(1, conf_ver), target, step))


NEW = {4: 9_001}
ADD = ChangePeers((PeerChange(ChangeKind.ADD_LEARNER_NODE, Peer(PeerId(9_001), StoreId(4), L)),))
PROMOTE = ChangePeers((PeerChange(ChangeKind.ADD_NODE, Peer(PeerId(9_001), StoreId(4))),))
REMOVE = ChangePeers((PeerChange(ChangeKind.REMOVE_NODE, Peer(PeerId(103), StoreId(3))),))
FOUR = {1: V, 2: V, 3: V}


def test_a_move_step_by_step() -> None:
    rig, operator = rig_with_move()
    assert sends(rig) == [order(1, ADD)]
    reported(rig, {**FOUR, 4: L}, conf_ver=2, ids=NEW, pending=[4])
    assert sends(rig) == [], "the new replica is there and catches up: an order would only add it again"
    reported(rig, {**FOUR, 4: L}, conf_ver=2, ids=NEW)
    assert sends(rig) == [order(2, PROMOTE)]
    reported(rig, {**FOUR, 4: V}, conf_ver=3, ids=NEW)
    assert sends(rig) == [order(3, REMOVE)]
    reported(rig, {1: V, 2: V, 4: V}, conf_ver=4, ids=NEW)
    assert sends(rig) == []
    assert operator.status == OperatorStatus.SUCCESS
    assert rig.controller.running(ONE) is None
    assert rig.controller.last_ended(ONE) is operator
    assert [note.event for note in rig.controller.notes] == ["operator created", "operator ended: success"]


def test_an_order_without_effect_is_repeated_after_a_while_and_at_once_if_epoch_or_leader_changed() -> None:
    rig, _ = rig_with_move()
    sends(rig)
    reported(rig, FOUR)
    assert sends(rig) == []
    rig.at(NOW_MS + 4_999)
    rig.controller.tick()
    assert sends(rig) == []
    rig.at(NOW_MS + 5_000)
    rig.controller.tick()
    assert sends(rig) == [order(1, ADD)]
    reported(rig, FOUR, leader=2)
    assert sends(rig) == [order(1, ADD, leader=2)]
    rig.region(1, FOUR, leader=2, version=2)
    rig.controller.on_report(ONE)
    assert [sent.order.epoch for sent in sends(rig)] == [RegionEpoch(2, 1)]


def test_quick_steps_are_repeated_after_two_seconds() -> None:
    rig = Rig()
    record = rig.region(1, [1, 2, 3])
    operator = planned(rig.view, record, "lead", FOUR, Priority.BALANCE, leader=StoreId(2))
    rig.controller.add(operator)
    transfer = order(1, TransferLeader((Peer(PeerId(102), StoreId(2)),)))
    assert sends(rig) == [transfer]
    rig.at(NOW_MS + 2_000)
    rig.controller.tick()
    assert sends(rig) == [transfer]


def test_a_quick_step_after_a_slow_one_is_repeated_in_its_own_time() -> None:
    rig, _ = rig_with_move()
    sends(rig)
    rig.controller.tick()
    rig.at(NOW_MS + 500)
    reported(rig, {**FOUR, 4: L}, conf_ver=2, ids=NEW)
    assert sends(rig) == [order(2, PROMOTE)]
    rig.at(NOW_MS + 2_500)
    assert rig.controller.next_due_ms == NOW_MS + 2_500, "not when the first step would have been repeated"
    rig.controller.tick()
    assert sends(rig) == [order(2, PROMOTE)]
    rig.at(NOW_MS + 4_500)
    rig.controller.tick()
    assert sends(rig) == [order(2, PROMOTE)], "each time once"


def test_a_joint_change_goes_in_and_out() -> None:
    rig, operator = rig_with_move(enable_joint_consensus=True)
    reported(rig, {**FOUR, 4: L}, conf_ver=2, ids=NEW)
    demote = PeerChange(ChangeKind.ADD_LEARNER_NODE, Peer(PeerId(103), StoreId(3), L))
    enter = ChangePeers((*PROMOTE.changes, demote))
    assert sends(rig) == [order(1, ADD), order(2, enter)]
    joint = {1: V, 2: V, 3: PeerRole.DEMOTING_VOTER, 4: PeerRole.INCOMING_VOTER}
    reported(rig, joint, conf_ver=4, ids=NEW)
    assert sends(rig) == [order(4, ChangePeers(()))]
    reported(rig, {1: V, 2: V, 3: L, 4: V}, conf_ver=6, ids=NEW)
    assert sends(rig) == [order(6, REMOVE)]
    reported(rig, {1: V, 2: V, 4: V}, conf_ver=7, ids=NEW)
    assert operator.status == OperatorStatus.SUCCESS


def test_a_leader_that_left_the_joint_configuration_by_itself_did_two_steps() -> None:
    rig, operator = rig_with_move(enable_joint_consensus=True)
    reported(rig, {**FOUR, 4: L}, conf_ver=2, ids=NEW)
    reported(rig, {1: V, 2: V, 3: L, 4: V}, conf_ver=6, ids=NEW)
    assert operator.is_running
    assert str(operator.step) == "remove peer 103 on store 3"


CANCELS = [
    ("another replica came", {**FOUR, 4: V}, {"conf_ver": 2}, "its members changed otherwise: conf_ver moved by 1"),
    ("a replica went", {1: V, 2: V}, {"conf_ver": 2}, "conf_ver moved by 1, the steps done explain 0"),
    ("more than the step", {**FOUR, 4: L}, {"conf_ver": 3, "ids": NEW, "pending": [4]}, "conf_ver moved by 2"),
]


@pytest.mark.parametrize(("sentence", "peers", "fields", "reason"), CANCELS)
def test_changes_by_others_end_an_operator(sentence, peers, fields, reason) -> None:
    rig, operator = rig_with_move()
    reported(rig, peers, **fields)
    assert operator.status == OperatorStatus.CANCEL
    assert reason in operator.reason


def test_a_region_that_is_gone_ends_its_operator() -> None:
    rig, operator = rig_with_move()
    rig.regions.report(heartbeat(region(7, version=9, stores=(1, 2, 3))))
    rig.scheduling.on_region(RegionId(7), [ONE])
    assert (operator.status, operator.reason) == (OperatorStatus.CANCEL, "the region is gone")


def test_a_plan_that_was_safe_is_given_up_when_a_store_dies_on_the_way() -> None:
    rig, operator = rig_with_move(enable_joint_consensus=True)
    rig.store(2, heard_ms_ago=30_000)
    reported(rig, {**FOUR, 4: L}, conf_ver=2, ids=NEW)
    assert operator.is_running, "stores 1 and 3 now, 1 and 4 then"
    rig.store(4, heard_ms_ago=30_000)
    rig.controller.tick()
    assert operator.status == OperatorStatus.CANCEL
    assert operator.reason.endswith("would leave 1 of 3 voters alive")


def test_a_new_leader_is_waited_for_until_it_has_heard_its_followers() -> None:
    rig = Rig()
    record = rig.region(1, [3, 1, 2])
    operator = planned(rig.view, record, "move", {1: V, 2: V, 4: V}, Priority.BALANCE)
    rig.controller.add(operator)
    four = {3: V, 1: V, 2: V, 4: L}
    reported(rig, four, conf_ver=2, ids=NEW)
    reported(rig, four, leader=1, conf_ver=2, ids=NEW, pending=[2, 3, 4])
    assert str(operator.step).startswith("enter joint configuration")
    assert [type(sent.order.step) for sent in sends(rig)] == [ChangePeers, TransferLeader]
    reported(rig, four, leader=1, conf_ver=2, ids=NEW, pending=[4])
    assert sends(rig) == [], "the newcomer must keep up before it votes"
    reported(rig, four, leader=1, conf_ver=2, ids=NEW)
    assert operator.is_running
    assert [type(sent.order.step) for sent in sends(rig)] == [ChangePeers]


def test_a_split_on_the_way_is_no_reason_to_give_up() -> None:
    rig, operator = rig_with_move()
    reported(rig, FOUR, version=2)
    assert operator.is_running


def test_a_step_that_takes_too_long_ends_the_operator() -> None:
    rig, operator = rig_with_move()
    for store_id in (1, 2, 3, 4):
        rig.store(store_id, heard_ms_ago=-10 * MINUTE_MS)
    rig.at(NOW_MS + 10 * MINUTE_MS - 1)
    rig.controller.tick()
    assert operator.is_running
    rig.at(NOW_MS + 10 * MINUTE_MS)
    rig.controller.tick()
    assert operator.status == OperatorStatus.TIMEOUT
    assert operator.reason == "the step 'add learner peer 9001 on store 4' took 600 s"


def test_one_operator_per_region_and_the_higher_priority_wins() -> None:
    rig, first = rig_with_move()
    record = rig.regions.by_id(ONE)
    again = planned(rig.view, record, "again", {1: V, 2: V, 4: V}, Priority.BALANCE)
    assert rig.controller.add(again) == "operator move runs for the region already"
    urgent = planned(rig.view, record, "urgent", {1: V, 2: V}, Priority.ADMIN, Kind.ADMIN)
    assert rig.controller.add(urgent) == ""
    assert (first.status, first.reason) == (OperatorStatus.REPLACE, "operator urgent takes its place")
    assert rig.controller.count(Kind.REGION) == 0
    assert rig.controller.count(Kind.ADMIN) == 1


def test_a_plan_for_an_older_epoch_is_refused() -> None:
    rig = Rig()
    operator = planned(rig.view, rig.region(1, [1, 2, 3]), "move", {1: V, 2: V, 4: V}, Priority.BALANCE)
    rig.region(1, [1, 2, 3], version=2)
    assert rig.controller.add(operator) == "the region changed meanwhile"


def test_the_store_limit_holds_back_but_not_people() -> None:
    rig = Rig(store_limit=15.0)
    plans = [
        planned(rig.view, rig.region(number, [1, 2, 3]), "move", {1: V, 2: V, 4: V}, Priority.BALANCE)
        for number in (1, 2)
    ]
    assert rig.controller.add(plans[0]) == ""
    assert rig.controller.add(plans[1]) == "store 4 has used up its store limit (add-peer)"
    assert rig.controller.add(plans[1], obey_limits=False) == ""


TIMEOUTS = [
    # sentence, step, size in MiB, seconds
    ("a copy has ten minutes", AddLearner(PeerAt(1, 1)), 30, 600),
    ("or longer for a large region", AddLearner(PeerAt(1, 1)), 1_000, 6_000),
    ("a promotion has a minute", PromoteLearner(PeerAt(1, 1)), 30, 60),
    ("a removal too", RemovePeer(PeerAt(1, 1)), 30, 60),
    ("or longer for a large region", RemovePeer(PeerAt(1, 1)), 1_000, 600),
    ("a transfer too", TransferStep(2, PeerAt(1, 1)), 30, 60),
    ("a joint change one more for each change", EnterJoint((PeerAt(1, 1),), (PeerAt(2, 2),)), 30, 180),
    ("and so has its end", LeaveJoint((PeerAt(1, 1),), (PeerAt(2, 2),)), 30, 180),
]


@pytest.mark.parametrize(("sentence", "step", "size_mib", "seconds"), TIMEOUTS)
def test_timeouts(sentence, step, size_mib, seconds) -> None:
    assert step.timeout_ms(size_mib) == seconds * 1000


def test_what_is_on_the_way_counts_for_its_stores() -> None:
    rig, _ = rig_with_move()
    coming = rig.controller.influences()
    assert (coming[4].peers, coming[4].peer_mib, coming[3].peers) == (1, 30, -1)
    reported(rig, {**FOUR, 4: L}, conf_ver=2, ids=NEW, pending=[4])
    assert 4 not in rig.controller.influences(), "it is among the replicas reported already"
