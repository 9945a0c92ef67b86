"""A whole cluster that obeys PD: it fills up, drains, heals, splits and comes to rest; a quorum lives at every step."""

from __future__ import annotations

from random import Random

import pytest

from flaredb.model.cluster import NodeState, StoreState
from flaredb.model.ids import RegionId, StoreId
from flaredb.model.region import PeerRole
from flaredb.pd.messages import (
    AddOperator,
    AddPeerOp,
    Bootstrap,
    Called,
    CancelOperator,
    CancelRemoveStore,
    GetOperator,
    GetStoreStatus,
    OperatorStatus,
    PdError,
    PdErrorKind,
    PutStore,
    RemoveStore,
    RemoveTombstones,
    ScatterRegion,
    SetScheduleConfig,
    SplitAndScatterRegions,
    SplitRegions,
    SplitResult,
    TransferLeaderOp,
    Why,
)
from flaredb.pd.schedule_config import ScheduleConfig
from tests.pd.fake_cluster import UNLIMITED, FakeCluster, FakeRegion, cluster_with
from tests.pd.helpers import region, store

QUICK = ScheduleConfig(store_limit=UNLIMITED, max_store_down_time_ms=20_000)


def is_even(values: list[int], part: float = 0.1) -> bool:
    average = sum(values) / len(values)
    return all(abs(value - average) <= part * average for value in values)


def test_a_steady_cluster_of_three_stores_stays_quiet() -> None:
    cluster = cluster_with(3, [20] * 30)
    cluster.run(300_000)
    assert cluster.order_log == []
    assert not [note for note in cluster.notes if note.event.startswith("operator")]


def test_a_fourth_store_fills_up_until_it_is_even_and_then_nothing_moves_any_more() -> None:
    rng = Random(7)
    cluster = cluster_with(3, [rng.randint(16, 32) for _ in range(60)])
    cluster.run(5_000)
    cluster.add_store(4)
    cluster.run_until(lambda: is_even(list(cluster.sizes().values())) and is_even(list(cluster.leaders().values())))
    cluster.run_until(cluster.is_quiet)
    cluster.run(60_000)
    assert is_even(list(cluster.sizes().values())), cluster.sizes()
    assert is_even(list(cluster.leaders().values())), cluster.leaders()
    assert cluster.quiet_for(300_000)
    replicas = [len(made.region.peers) for made in cluster.regions.values()]
    assert replicas == [3] * 60


def test_an_idle_pd_wakes_up_ever_more_rarely() -> None:
    cluster = cluster_with(3, [20] * 300)
    cluster.heartbeat_ms = 10_000_000
    cluster.run(30_000)
    moments = 0
    end_ms = cluster.now_ms + 60_000
    while cluster.now_ms < end_ms:
        deadline_ms = cluster.core.next_deadline_ms()
        assert deadline_ms is not None
        cluster.now_ms = max(cluster.now_ms + 1, deadline_ms)
        for store_id in (1, 2, 3):
            cluster.report_store(cluster.stores[store_id])
        moments += 1
    assert moments < 140, "once a second for the stores, every 5 s for each scheduler, every 10 s for all regions"


def test_the_first_region_gets_its_replicas_when_stores_join() -> None:
    cluster = FakeCluster()
    first = region(2, stores=(1,))
    assert cluster.ask(Bootstrap(store(1), first)) is None
    cluster.add_store(1)
    cluster.regions[2] = FakeRegion(first, first.peers[0], 1)
    cluster.run(5_000)
    cluster.add_store(2)
    cluster.add_store(3)
    took_ms = cluster.run_until(lambda: len(cluster.regions[RegionId(2)].region.peers) == 3)
    assert took_ms < 5_000
    cluster.run_until(cluster.is_quiet)
    assert cluster.quiet_for(60_000)


def test_scattering_waits_for_the_store_limit_and_takes_no_ids_meanwhile() -> None:
    cluster = cluster_with(4, [30] * 12, ScheduleConfig(store_limit=4.0))
    cluster.run(3_000)
    ids_before = cluster.core.last_id
    cluster.ask(ScatterRegion(tuple(made.region.id for made in cluster.regions.values()), "g"))
    cluster.run(150_000)
    assert cluster.core.last_id - ids_before < 30


def test_moves_keep_to_the_store_limit() -> None:
    cluster = cluster_with(3, [30] * 40, ScheduleConfig(store_limit=15.0))
    cluster.run(5_000)
    cluster.add_store(4)
    cluster.run(60_000)
    moved = len(cluster.peers_on(4))
    assert 10 <= moved <= 16, moved


def test_a_drained_store_ends_as_a_tombstone_and_does_not_come_back() -> None:
    cluster = cluster_with(4, [20] * 40)
    cluster.run(5_000)
    meta = cluster.ask(RemoveStore(StoreId(2)))
    assert (meta.state, meta.node_state) == (StoreState.OFFLINE, NodeState.REMOVING)
    state = cluster.core.stores.get(StoreId(2))
    cluster.run_until(lambda: state.meta.state == StoreState.TOMBSTONE)
    assert not cluster.peers_on(2)
    assert all(len(made.region.peers) == 3 for made in cluster.regions.values())
    back = cluster.ask(PutStore(store(2)))
    assert isinstance(back, PdError)
    assert back.kind == PdErrorKind.STORE_TOMBSTONE
    cluster.stores[2].alive = False
    assert cluster.ask(RemoveTombstones()) == (2,)
    cluster.restart_pd()
    back = cluster.ask(PutStore(store(2)))
    assert isinstance(back, PdError), "its id is refused also when the store is forgotten"
    assert cluster.ask(RemoveStore(StoreId(1))) == PdError(
        PdErrorKind.UNKNOWN,
        "store 1 cannot be removed: 2 stores would stay up, and max-replicas is 3; add a store first, or lower "
        "max-replicas",
    )


def test_a_removal_is_called_off() -> None:
    cluster = cluster_with(4, [20] * 40, ScheduleConfig(store_limit=15.0))
    cluster.run(5_000)
    cluster.ask(RemoveStore(StoreId(2)))
    cluster.run(10_000)
    assert cluster.peers_on(2)
    cluster.ask(CancelRemoveStore(StoreId(2)))
    cluster.run(120_000)
    assert cluster.core.stores.get(StoreId(2)).meta.state == StoreState.UP
    assert cluster.peers_on(2)


def test_the_replicas_of_a_dead_store_are_all_replaced_and_it_may_come_back_empty_handed() -> None:
    cluster = cluster_with(4, [20] * 40, QUICK)
    cluster.run(5_000)
    cluster.kill(3)
    cluster.run(15_000)
    assert cluster.order_log == [] or all(made.region.peer_on(StoreId(3)) for made in cluster.peers_on(3))
    assert cluster.peers_on(3), "nothing is replaced before max-store-down-time"
    cluster.run_until(lambda: not cluster.peers_on(3))
    assert all(len(made.region.peers) == 3 for made in cluster.regions.values())
    cluster.run_until(cluster.is_quiet)
    cluster.run(30_000)
    cluster.revive(3)
    cluster.run_until(lambda: is_even(list(cluster.sizes().values())))
    cluster.run(60_000)
    assert cluster.quiet_for(120_000)


def test_with_nowhere_to_go_nothing_is_scheduled_and_the_reason_is_told() -> None:
    cluster = cluster_with(3, [20] * 12, QUICK)
    cluster.run(5_000)
    cluster.kill(3)
    cluster.run(60_000)
    assert not [order for order in cluster.order_log if "Change" in type(order.step).__name__]
    why = cluster.ask(Why(region_id=next(iter(cluster.regions))))
    assert "store 3, which holds a replica, is down, but no store can take its place: no other store is there" in why


def test_more_replicas_are_made_when_more_are_wanted_and_fewer_when_fewer() -> None:
    cluster = cluster_with(5, [20] * 20)
    cluster.run(5_000)
    assert cluster.ask(SetScheduleConfig((("max-replicas", 5),))) is None
    cluster.run_until(lambda: all(len(made.region.peers) == 5 for made in cluster.regions.values()))
    assert cluster.ask(SetScheduleConfig((("replication.max-replicas", "3"),))) is None
    cluster.run_until(lambda: all(len(made.region.peers) == 3 for made in cluster.regions.values()))
    cluster.run(60_000)
    assert is_even(list(cluster.sizes().values()), 0.15), cluster.sizes()
    assert cluster.quiet_for(120_000)


def test_replicas_move_apart_by_their_labels_and_then_rest() -> None:
    schedule = ScheduleConfig(store_limit=UNLIMITED, location_labels=("zone",))
    keys = tuple(b"%04d" % index for index in range(1, 12))
    cluster = FakeCluster(schedule, initial_stores=4, split_keys=keys)
    for store_id, zone in ((1, "a"), (2, "a"), (3, "b"), (4, "c")):
        cluster.add_store(store_id, (("zone", zone),))
    cluster.start_regions([20] * 12)

    def zones(stores: list[int]) -> int:
        return len({"aabc"[store_id - 1] for store_id in stores})

    cluster.run_until(
        lambda: all(zones([peer.store_id for peer in made.region.peers]) == 3 for made in cluster.regions.values())
    )
    cluster.run(60_000)
    assert cluster.quiet_for(120_000)


def test_orders_that_are_lost_are_repeated() -> None:
    cluster = cluster_with(3, [20] * 20)
    cluster.lose_every = 2
    cluster.run(5_000)
    cluster.add_store(4)
    cluster.run_until(lambda: is_even(list(cluster.sizes().values())) and cluster.is_quiet())


@pytest.mark.parametrize("seed", [*range(5), *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(5, 60))])
def test_no_order_ever_leaves_a_region_without_a_living_quorum(seed: int) -> None:
    """The model asserts it at each change; here stores die, come back, leave and join at random."""
    rng = Random(seed)
    schedule = ScheduleConfig(
        store_limit=UNLIMITED, max_store_down_time_ms=8_000, enable_joint_consensus=bool(seed % 3)
    )
    cluster = cluster_with(5, [rng.randint(1, 40) for _ in range(25)], schedule, max_replicas=3)
    cluster.down_after_ms = 3_000
    cluster.lose_every = rng.choice([0, 3, 7])
    cluster.run(3_000)
    for _ in range(30):
        match rng.randrange(6):
            case 0 | 1:
                alive = [store_id for store_id, fake in cluster.stores.items() if fake.alive]
                if len(alive) > 4:
                    cluster.kill(rng.choice(alive))
            case 2:
                for store_id, fake in cluster.stores.items():
                    record = cluster.core.stores.find(StoreId(store_id))
                    if not fake.alive and record is not None and record.meta.state != StoreState.TOMBSTONE:
                        cluster.revive(store_id)
            case 3:
                cluster.ask(RemoveStore(StoreId(rng.choice(list(cluster.stores)))))
            case 4:
                cluster.ask(CancelRemoveStore(StoreId(rng.choice(list(cluster.stores)))))
            case 5:
                if len(cluster.stores) < 9:
                    cluster.add_store(max(cluster.stores) + 1)
        if rng.randrange(8) == 0:
            cluster.restart_pd()
        cluster.run(rng.randrange(1, 120) * 100)
    for store_id, fake in cluster.stores.items():
        record = cluster.core.stores.find(StoreId(store_id))
        if not fake.alive and record is not None and record.meta.state != StoreState.TOMBSTONE:
            cluster.revive(store_id)
    cluster.lose_every = 0
    cluster.run_until(
        lambda: all(
            len(made.region.peers) == 3 and all(peer.role == PeerRole.VOTER for peer in made.region.peers)
            for made in cluster.regions.values()
        )
    )
    cluster.run(120_000)
    assert cluster.quiet_for(120_000), list(cluster.notes[-5:])


# ---------------------------------------------------------------- after PD's start


def test_after_a_restart_nothing_is_scheduled_before_most_regions_have_reported() -> None:
    cluster = cluster_with(3, [20] * 20)
    cluster.run(5_000)
    cluster.restart_pd()
    for made in cluster.regions.values():
        made.must_report = False
        made.reported_at_ms = cluster.now_ms
    cluster.heartbeat_ms = 30_000
    cluster.add_store(4)
    cluster.run(25_000)
    assert not len(cluster.core.scheduling.controller)
    assert "has heard from the leaders of 0 of 20 regions" in cluster.ask(Why(store_id=StoreId(4)))
    cluster.run(10_000)
    assert len(cluster.order_log) > 0


def test_the_hold_ends_by_itself() -> None:
    cluster = cluster_with(3, [20] * 20, schedule_hold_ms=60_000)
    for made in list(cluster.regions.values())[:10]:
        made.must_report = False
    cluster.heartbeat_ms = 10_000_000
    cluster.add_store(4)
    cluster.run(55_000)
    assert cluster.order_log == []
    cluster.run(10_000)
    assert cluster.order_log != []


# ---------------------------------------------------------------- splits and scattering


def test_a_thousand_keys_split_one_region_and_the_call_answers_when_all_is_cut() -> None:
    cluster = cluster_with(3, [100])
    cluster.run(2_000)
    keys = tuple(b"k%04d" % index for index in range(1_000))
    cluster.step(Called("split", SplitRegions(keys, wait_ms=30_000)))
    took_ms = cluster.run_until(lambda: any(isinstance(result, SplitResult) for _, result in cluster.answers))
    result = next(result for _, result in cluster.answers if isinstance(result, SplitResult))
    assert result.finished_percentage == 100
    assert len(result.region_ids) == 1_000
    assert took_ms <= 5_000
    assert len(cluster.regions) == 1_001
    assert cluster.ask(SplitRegions(keys)) == SplitResult(100, ())


def test_a_split_that_takes_too_long_is_answered_in_part_and_goes_on() -> None:
    cluster = cluster_with(3, [100, 100])
    cluster.run(2_000)
    cluster.kill(1)
    keys = (b"0000x", b"0001", b"0001x")
    cluster.step(Called("split", SplitRegions(keys, wait_ms=800)))
    cluster.run_until(lambda: any(isinstance(result, SplitResult) for _, result in cluster.answers))
    result = next(result for _, result in cluster.answers if isinstance(result, SplitResult))
    assert result.finished_percentage == 66
    assert len(result.region_ids) == 1
    cluster.run_until(lambda: len(cluster.regions) == 4)


def test_split_and_scatter_spreads_the_new_regions() -> None:
    cluster = cluster_with(4, [1])
    cluster.run(2_000)
    keys = tuple(b"k%04d" % index for index in range(39))
    cluster.step(Called("split", SplitAndScatterRegions(keys, "table", wait_ms=30_000)))
    cluster.run_until(lambda: any(isinstance(result, SplitResult) for _, result in cluster.answers))
    result = next(result for _, result in cluster.answers if isinstance(result, SplitResult))
    assert (result.finished_percentage, result.scatter_finished_percentage) == (100, 100)
    some = result.region_ids[-1]
    assert cluster.ask(GetOperator(some)).desc == "scatter-region"
    cluster.run_until(cluster.is_quiet)
    cluster.run(5_000)
    assert cluster.ask(GetOperator(some)).status != OperatorStatus.RUNNING
    new = [cluster.regions[region_id] for region_id in result.region_ids]
    leaders = [sum(made.leader.store_id == store_id for made in new) for store_id in cluster.stores]
    peers = [sum(made.region.peer_on(StoreId(store_id)) is not None for made in new) for store_id in cluster.stores]
    assert max(leaders) - min(leaders) <= 2, leaders
    assert max(peers) - min(peers) <= 2, peers


# ---------------------------------------------------------------- orders by people


def test_an_order_by_a_person_takes_the_region_over_and_can_be_cancelled() -> None:
    cluster = cluster_with(4, [20] * 4, ScheduleConfig(store_limit=UNLIMITED))
    cluster.run(3_000)
    region_id = RegionId(next(iter(cluster.regions)))
    cluster.copy_ms = 60_000
    spare = next(store_id for store_id in cluster.stores if not cluster.regions[region_id].region.peer_on(store_id))
    view = cluster.ask(AddOperator(AddPeerOp(region_id, StoreId(spare))))
    assert (view.desc, view.status) == ("admin-add-peer", OperatorStatus.RUNNING)
    refused = cluster.ask(AddOperator(TransferLeaderOp(region_id, StoreId(spare))))
    assert isinstance(refused, PdError)
    cluster.run(2_000)
    assert "The new replica is there and catches up." in cluster.ask(Why(region_id=region_id))
    view = cluster.ask(CancelOperator(region_id))
    assert (view.status, view.reason) == (OperatorStatus.CANCEL, "a person cancelled it")
    cluster.run(70_000)
    assert len(cluster.regions[region_id].region.peers) == 3, "the left-over learner went"
    assert cluster.ask(GetStoreStatus(StoreId(spare)))[0].state_name == "Up"
