"""What PD keeps on disk: whose directory it is, damage, and what a power cut leaves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaredb.engine.base import CF_META
from flaredb.engine.memory import MemoryEngine
from flaredb.model.errors import ConfigError
from flaredb.model.ids import ClusterId, StoreId
from flaredb.model.keys import STORE_IDENT_KEY
from flaredb.pd import state
from flaredb.pd.messages import KeyRange, ReportRegion, ScanRegions
from flaredb.wire import pd_states
from flaredb.wire.records import StateCorrupted
from flaredb.wire.states import encode_region, encode_store_ident
from tests.pd.helpers import Driver, cluster_of, heartbeat, region, store


def test_the_directory_of_a_store_is_refused() -> None:
    engine = MemoryEngine("/data/store-1")
    batch = engine.batch()
    batch.put(CF_META, STORE_IDENT_KEY, encode_store_ident(ClusterId(1), StoreId(1)))
    engine.write(batch)
    with pytest.raises(ConfigError, match="/data/store-1 holds the data of a store"):
        Driver(engine=engine)


def test_damaged_records_are_refused() -> None:
    for key in (state.IDENT_KEY, state.CLUSTER_KEY, state.ID_BOUND_KEY, state.TSO_BOUND_KEY, state.GC_KEY):
        engine = MemoryEngine()
        batch = engine.batch()
        batch.put(CF_META, key, b"\x01\xc1")
        engine.write(batch)
        with pytest.raises(StateCorrupted):
            Driver(engine=engine)


def test_a_record_of_another_version_is_refused() -> None:
    with pytest.raises(StateCorrupted, match="version"):
        pd_states.decode_bound(b"\x02\x05")


def test_overlapping_records_left_by_a_power_cut_resolve_to_the_newer() -> None:
    driver = cluster_of(1)
    whole = driver.core.regions.by_key(b"")
    assert whole is not None
    batch = driver.engine.batch()
    newer = region(50, b"m", b"", version=2)
    batch.put(CF_META, state.region_key(newer.id), encode_region(newer))
    driver.engine.write(batch)
    twin = driver.restart()
    assert [route.region for route in twin.ask(ScanRegions((KeyRange(b"", b""),)))] == [newer]
    left = region(whole.region.id, b"", b"m", version=2)
    twin.settle(ReportRegion(heartbeat(left)))
    again = twin.restart()
    assert [route.region for route in again.ask(ScanRegions((KeyRange(b"", b""),)))] == [left, newer]


@given(st.integers(0, 2**64 - 1))
def test_bounds_survive(bound: int) -> None:
    assert pd_states.decode_bound(pd_states.encode_bound(bound)) == bound


def test_a_store_survives_without_its_last_heartbeat() -> None:
    known = store(
        3,
        peer_address="p:1",
        status_address="s:1",
        labels=(("zone", "z"),),
        start_timestamp_s=5,
        last_heartbeat_ns=9,
        deploy_path="/d",
        git_hash="g",
    )
    assert pd_states.decode_store(pd_states.encode_store(known)) == store(
        3,
        peer_address="p:1",
        status_address="s:1",
        labels=(("zone", "z"),),
        start_timestamp_s=5,
        deploy_path="/d",
        git_hash="g",
    )
