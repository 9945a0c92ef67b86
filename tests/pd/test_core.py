"""What one step of the placement core answers, what it writes first, and what it holds back."""

from __future__ import annotations

from flaredb.engine.base import EngineFailed
from flaredb.model.cluster import NodeState, SplitIds, StoreStats
from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.model.region import Peer
from flaredb.pd.config import PdConfig
from flaredb.pd.messages import (
    AllocIds,
    Answer,
    AskBatchSplit,
    Bootstrap,
    Called,
    Fatal,
    GetAllStores,
    GetClusterConfig,
    GetPrevRegion,
    GetRegion,
    GetRegionById,
    GetStore,
    IsBootstrapped,
    KeyRange,
    PdError,
    PdErrorKind,
    PutClusterConfig,
    PutStore,
    QueryRegions,
    RegionsFound,
    ReportBatchSplit,
    ReportRegion,
    ReportStore,
    ScanRegions,
    StoreOrders,
    StoreView,
    Sync,
    SyncDone,
    TakeTimestamps,
    Timestamps,
    UpdateGcSafePoint,
)
from tests.pd.helpers import WALL_MS, Driver, cluster_of, heartbeat, region, store

EVERYTHING = ScanRegions((KeyRange(b"", b""),))


def bootstrapped() -> Driver:
    driver = Driver()
    assert driver.ask(Bootstrap(store(1), region(2))) is None
    return driver


def kind_of(result: object) -> PdErrorKind:
    assert isinstance(result, PdError), result
    return result.kind


# ---------------------------------------------------------------- answers and the disk


def test_an_answer_that_rests_on_a_write_leaves_after_the_sync() -> None:
    driver = Driver()
    assert driver.step(AllocIds()) == [Sync(1)]
    assert driver.step(SyncDone(1)) == [Answer(AllocIds(), 1)]


def test_ids_inside_the_window_need_no_write() -> None:
    driver = Driver(PdConfig(id_window=10))
    assert driver.ask(AllocIds()) == 1
    assert driver.step(AllocIds(), AllocIds(3)) == [Answer(AllocIds(), 2), Answer(AllocIds(3), 5)]


def test_answers_queue_behind_a_sync_under_way_and_leave_in_order() -> None:
    driver = Driver()
    assert driver.step(AllocIds()) == [Sync(1)]
    assert driver.step(AllocIds(2)) == []
    assert driver.step(UpdateGcSafePoint(5)) == [Sync(2)]
    assert driver.step(SyncDone(1)) == [Answer(AllocIds(), 1), Answer(AllocIds(2), 3)]
    assert driver.step(SyncDone(2)) == [Answer(UpdateGcSafePoint(5), 5)]


def test_one_sync_covers_all_calls_of_a_step_and_a_later_one_the_earlier() -> None:
    driver = Driver()
    assert driver.step(AllocIds(), UpdateGcSafePoint(7)) == [Sync(1)]
    assert driver.step(TakeTimestamps(1)) == [Sync(2)]
    assert [effect.result for effect in driver.step(SyncDone(2)) if isinstance(effect, Answer)] == [
        1,
        7,
        Timestamps(WALL_MS, 0, 1),
    ]


def test_a_failed_write_stops_the_process_and_answers_nobody() -> None:
    driver = Driver()
    driver.engine.fail_next_write()
    effects = driver.step(AllocIds())
    assert [type(effect) for effect in effects] == [Fatal]
    try:
        driver.engine.sync()
    except EngineFailed:
        return
    raise AssertionError("the engine went on")


def test_identity_survives_a_power_cut() -> None:
    driver = Driver()
    twin = driver.restart(power_cut=True)
    assert driver.core.cluster_id == twin.core.cluster_id != 0
    assert driver.core.member_id == twin.core.member_id != 0


# ---------------------------------------------------------------- start of a cluster


def test_the_first_store_bootstraps_once() -> None:
    driver = Driver()
    assert driver.ask(IsBootstrapped()) is False
    assert driver.ask(Bootstrap(store(1), region(2))) is None
    assert driver.ask(IsBootstrapped()) is True
    assert kind_of(driver.ask(Bootstrap(store(3), region(4, stores=[3])))) is PdErrorKind.ALREADY_BOOTSTRAPPED
    assert [meta.id for meta in driver.ask(GetAllStores())] == [1]


def test_bootstrap_survives_a_power_cut() -> None:
    driver = bootstrapped().restart(power_cut=True)
    assert driver.ask(IsBootstrapped()) is True
    assert [route.region for route in driver.ask(EVERYTHING)] == [region(2)]


def test_a_first_region_that_is_not_the_whole_key_space_is_refused() -> None:
    for case, first in {
        "starts late": region(2, b"a"),
        "ends early": region(2, b"", b"z"),
        "two peers": region(2, stores=[1, 3]),
        "on another store": region(2, stores=[3]),
        "no id": region(0),
    }.items():
        driver = Driver()
        assert kind_of(driver.ask(Bootstrap(store(1), first))) is PdErrorKind.UNKNOWN, case
        assert driver.ask(IsBootstrapped()) is False, case


def test_before_bootstrap_registering_and_reporting_are_refused() -> None:
    driver = Driver()
    for call in (PutStore(store(1)), ReportStore(StoreStats(StoreId(1))), ReportRegion(heartbeat(region(2)))):
        assert kind_of(driver.ask(call)) is PdErrorKind.NOT_BOOTSTRAPPED


def test_initial_layout_is_claimed_from_the_start_and_placed_when_enough_stores_are_there() -> None:
    driver = Driver(PdConfig(initial_stores=3, split_keys=(b"g", b"p")))
    assert driver.ask(IsBootstrapped()) is True
    assert kind_of(driver.ask(Bootstrap(store(1), region(9)))) is PdErrorKind.ALREADY_BOOTSTRAPPED
    assert driver.step(EVERYTHING) == [], "held: the layout is still to come"
    assert driver.settle(PutStore(store(4))) == [(PutStore(store(4)), None)]
    assert driver.settle(PutStore(store(7))) == [(PutStore(store(7)), None)]
    answers = dict(driver.settle(PutStore(store(9))))
    routes = answers[EVERYTHING]
    assert [(route.region.start_key, route.region.end_key) for route in routes] == [
        (b"", b"g"),
        (b"g", b"p"),
        (b"p", b""),
    ]
    assert [[peer.store_id for peer in route.region.peers] for route in routes] == [[4, 7, 9], [7, 9, 4], [9, 4, 7]]
    assert {route.leader for route in routes} == {None}
    twin = driver.restart(power_cut=True)
    assert [route.region for route in twin.ask(EVERYTHING)] == [route.region for route in routes]


def test_a_layout_that_never_comes_ends_the_scan_empty_after_the_holding_time() -> None:
    driver = Driver(PdConfig(initial_stores=3, hold_ms=900))
    assert driver.step(EVERYTHING, GetRegion(b"k")) == []
    assert driver.core.next_deadline_ms() == 900
    driver.now_ms = 899
    assert driver.step() == []
    driver.now_ms = 900
    assert driver.step() == [Answer(EVERYTHING, ()), Answer(GetRegion(b"k"), None)]
    assert driver.core.next_deadline_ms() is None


def test_a_layout_once_placed_is_not_placed_again_with_another_configuration() -> None:
    twin = cluster_of(3, (b"m",)).restart(PdConfig(initial_stores=4, split_keys=(b"x",)))
    assert twin.ask(PutStore(store(4))) is None
    assert [route.region.start_key for route in twin.ask(EVERYTHING)] == [b"", b"m"]


# ---------------------------------------------------------------- held calls


def test_a_lookup_waits_for_the_bootstrap_and_is_refused_if_it_does_not_come() -> None:
    driver = Driver()
    waiting = (GetRegion(b""), GetStore(StoreId(1)), GetAllStores(), EVERYTHING, QueryRegions(keys=(b"",)))
    assert driver.step(*waiting) == []
    driver.now_ms = 1_000
    results = [effect.result for effect in driver.step() if isinstance(effect, Answer)]
    assert [kind_of(result) for result in results] == [PdErrorKind.NOT_BOOTSTRAPPED] * len(waiting)


def test_a_region_without_a_leader_is_held_and_answered_as_soon_as_one_reports() -> None:
    driver = cluster_of(3)
    found = driver.ask(EVERYTHING)[0].region
    assert driver.step(GetRegion(b"k")) == []
    driver.now_ms = 300
    answers = dict(driver.settle(Called("beat", ReportRegion(heartbeat(found, leader=1)))))
    assert answers["beat"] is None
    assert answers[GetRegion(b"k")].leader == found.peers[1]
    assert driver.core.held_calls == 0


def test_after_the_holding_time_the_first_voter_is_the_guess() -> None:
    driver = cluster_of(3)
    found = driver.ask(EVERYTHING)[0].region
    assert driver.step(GetRegion(b"k"), GetRegionById(found.id), QueryRegions(keys=(b"k",))) == []
    driver.now_ms = 1_000
    effects = driver.step()
    assert len(effects) == 3
    for effect in effects:
        assert isinstance(effect, Answer)
        route = effect.result.routes[0] if isinstance(effect.result, RegionsFound) else effect.result
        assert route.leader == found.peers[0]


def test_at_most_so_many_calls_are_held() -> None:
    driver = Driver(PdConfig(initial_stores=3, held_calls_max=2))
    calls = [Called(number, GetRegion(b"k")) for number in range(3)]
    assert driver.step(*calls) == [Answer(2, None)], "the third gets the best answer at once"
    assert driver.core.held_calls == 2


def test_an_unknown_region_id_is_not_waited_for() -> None:
    assert bootstrapped().ask(GetRegionById(RegionId(77))) is None


def test_a_key_in_a_hole_waits_for_the_report_that_fills_it() -> None:
    driver = bootstrapped()
    right = region(5, b"m", b"", version=2)
    assert driver.ask(ReportRegion(heartbeat(right))) is None
    assert driver.step(GetRegion(b"a")) == [], "the parent has not reported its new end yet"
    left = region(2, b"", b"m", version=2)
    answers = dict(driver.settle(Called("beat", ReportRegion(heartbeat(left)))))
    assert answers[GetRegion(b"a")].region == left


# ---------------------------------------------------------------- stores


def test_heartbeat_of_a_store_tells_it_the_clusters_version() -> None:
    driver = bootstrapped()
    assert driver.ask(PutStore(store(3, version="6.5.2"))) is None
    stats = StoreStats(StoreId(3), capacity_bytes=100)
    assert driver.ask(ReportStore(stats)) == StoreOrders("6.5.0", NodeState.SERVING)
    view = driver.ask(GetStore(StoreId(3)))
    assert isinstance(view, StoreView)
    assert view.stats is stats
    assert view.meta.last_heartbeat_ns == WALL_MS * 1_000_000


def test_an_unknown_store_is_refused_in_the_words_clients_look_for() -> None:
    result = bootstrapped().ask(GetStore(StoreId(8)))
    assert isinstance(result, PdError)
    assert "invalid store ID" in result.message
    assert "not found" in result.message


# ---------------------------------------------------------------- regions


def test_lookups_around_a_border() -> None:
    driver = bootstrapped()
    left, right = region(2, b"", b"m", version=2), region(5, b"m", b"", version=2)
    driver.settle(ReportRegion(heartbeat(left)), ReportRegion(heartbeat(right)))
    assert driver.ask(GetRegion(b"lzzz")).region == left
    assert driver.ask(GetRegion(b"m")).region == right
    assert driver.ask(GetPrevRegion(b"m")).region == left
    assert driver.ask(GetPrevRegion(b"a")) is None
    found = driver.ask(QueryRegions(keys=(b"z", b"a", b"y"), prev_keys=(b"z", b"a"), ids=(RegionId(9),)))
    assert (found.key_ids, found.prev_key_ids) == ((5, 2, 5), (2, 0))
    assert sorted(route.region.id for route in found.routes) == [2, 5]


def test_scans_keep_to_their_ranges_and_limit_and_name_each_region_once() -> None:
    driver = cluster_of(1, (b"b", b"d", b"f"))
    for case, call, starts in [
        ("all", EVERYTHING, [b"", b"b", b"d", b"f"]),
        ("from the middle of a region", ScanRegions((KeyRange(b"c", b""),)), [b"b", b"d", b"f"]),
        ("the end is exclusive", ScanRegions((KeyRange(b"b", b"d"),)), [b"b"]),
        ("limit", ScanRegions((KeyRange(b"", b""),), limit=2), [b"", b"b"]),
        ("two ranges in one region", ScanRegions((KeyRange(b"b", b"b1"), KeyRange(b"b2", b"e"))), [b"b", b"d"]),
        (
            "limit over ranges",
            ScanRegions(
                (
                    KeyRange(b"b", b"b1"),
                    KeyRange(b"b2", b""),
                ),
                limit=2,
                must_cover=True,
            ),
            [b"b", b"d"],
        ),
        ("complete", ScanRegions((KeyRange(b"a", b"e"),), must_cover=True), [b"", b"b", b"d"]),
    ]:
        assert [route.region.start_key for route in driver.ask(call)] == starts, case


def test_a_scan_that_must_cover_refuses_a_hole() -> None:
    driver = bootstrapped()
    driver.settle(ReportRegion(heartbeat(region(5, b"m", b"", version=2))))
    call = ScanRegions((KeyRange(b"a", b"z"),), must_cover=True)
    assert driver.step(call) == []
    driver.now_ms = 1_000
    [answer] = driver.step()
    assert isinstance(answer, Answer)
    assert kind_of(answer.result) is PdErrorKind.REGIONS_NOT_CONTAIN_ALL_KEY_RANGE


def test_reports_that_cannot_be_are_refused() -> None:
    driver = bootstrapped()
    foreign = heartbeat(region(2))
    foreign.leader = Peer(PeerId(999), StoreId(1))
    cases = {
        "unknown store": heartbeat(region(2, stores=[8])),
        "leader is none of the peers": foreign,
        "no region id": heartbeat(region(0)),
        "no epoch": heartbeat(region(2, version=0)),
        "upside down": heartbeat(region(2, b"m", b"a")),
    }
    for case, beat in cases.items():
        assert kind_of(driver.ask(ReportRegion(beat))) is PdErrorKind.UNKNOWN, case
    assert driver.ask(EVERYTHING)[0].leader is None


def test_a_report_needs_no_sync_of_its_own_but_is_on_disk_after_a_restart() -> None:
    driver = bootstrapped()
    grown = region(2, conf_ver=2)
    call = ReportRegion(heartbeat(grown))
    assert driver.step(call) == [Answer(call, None)]
    assert [route.region for route in driver.restart().ask(EVERYTHING)] == [grown]


def test_leaders_are_not_remembered_over_a_restart() -> None:
    driver = bootstrapped()
    driver.settle(ReportRegion(heartbeat(region(2))))
    assert driver.ask(GetRegion(b"")).leader is not None
    assert driver.restart().step(GetRegion(b"")) == [], "held until the leader reports again"


# ---------------------------------------------------------------- splits, configuration


def test_a_split_gets_ids_for_each_new_region_and_peer() -> None:
    driver = bootstrapped()
    assert driver.ask(AllocIds(100)) == 100
    assert driver.ask(AskBatchSplit(region(2), 2)) == (
        SplitIds(RegionId(101), (PeerId(102),)),
        SplitIds(RegionId(103), (PeerId(104),)),
    )


def test_a_split_of_a_stale_or_unknown_region_is_refused() -> None:
    driver = bootstrapped()
    driver.settle(ReportRegion(heartbeat(region(2, version=3))))
    assert kind_of(driver.ask(AskBatchSplit(region(2, version=2), 1))) is PdErrorKind.UNKNOWN
    assert kind_of(driver.ask(AskBatchSplit(region(6), 1))) is PdErrorKind.REGION_NOT_FOUND
    assert kind_of(driver.ask(AskBatchSplit(region(2, version=3), 0))) is PdErrorKind.UNKNOWN


def test_a_reported_split_leaves_no_hole() -> None:
    driver = bootstrapped()
    driver.settle(ReportRegion(heartbeat(region(2))))
    left, right = region(7, b"", b"m", version=2), region(2, b"m", b"", version=2)
    assert driver.ask(ReportBatchSplit((left, right))) is None
    for key, expected in ((b"a", left), (b"x", right)):
        route = driver.ask(GetRegion(key))
        assert (route.region, route.leader) == (expected, expected.peers[0])
    assert kind_of(driver.ask(ReportBatchSplit((left,)))) is PdErrorKind.UNKNOWN
    assert kind_of(driver.ask(ReportBatchSplit((right, left)))) is PdErrorKind.UNKNOWN


def test_a_late_split_report_changes_nothing() -> None:
    driver = bootstrapped()
    newer = region(2, version=5)
    driver.settle(ReportRegion(heartbeat(newer)))
    assert driver.ask(ReportBatchSplit((region(7, b"", b"m", version=2), region(2, b"m", b"", version=2)))) is None
    assert [route.region for route in driver.ask(EVERYTHING)] == [newer]


def test_the_number_of_replicas_is_kept() -> None:
    driver = bootstrapped()
    assert driver.ask(GetClusterConfig()) == 3
    assert kind_of(driver.ask(PutClusterConfig(0))) is PdErrorKind.INVALID_VALUE
    assert driver.ask(PutClusterConfig(5)) is None
    assert driver.restart(power_cut=True).ask(GetClusterConfig()) == 5
