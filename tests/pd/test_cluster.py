"""Which stores may register, and what a store may change of itself (wire facts 4.2)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flaredb.engine.memory import MemoryEngine
from flaredb.model.cluster import NodeState, StoreMeta, StoreState, StoreStats
from flaredb.model.ids import StoreId
from flaredb.pd.cluster import Stores
from flaredb.pd.live_settings import LiveSettings
from flaredb.pd.messages import PdError, PdErrorKind
from flaredb.pd.schedule_config import ScheduleConfig
from flaredb.pd.state import PdState
from flaredb.pd.version import NO_VERSION, Version, parse_version
from tests.pd.helpers import WALL_MS, store


def stores_with(*metas: StoreMeta) -> Stores:
    state = PdState(MemoryEngine())
    settings = LiveSettings(state, ScheduleConfig(), 3)
    stores = Stores(state, settings, 20_000, NO_VERSION)
    for meta in metas:
        stores.put(meta)
    return stores


def test_refusals() -> None:
    first = store(1, peer_address="127.0.0.1:30001")
    for case, second, kind, words in [
        ("no id", store(0), PdErrorKind.UNKNOWN, "other than 0"),
        ("no address", store(2, address=""), PdErrorKind.UNKNOWN, "no address"),
        ("address taken", store(2, address=first.address), PdErrorKind.UNKNOWN, "belongs to store 1"),
        ("address is a peer address", store(2, address="127.0.0.1:30001"), PdErrorKind.UNKNOWN, "belongs to store 1"),
        ("peer address taken", store(2, peer_address=first.address), PdErrorKind.UNKNOWN, "belongs to store 1"),
        ("no version", store(2, version="newest"), PdErrorKind.UNKNOWN, "'newest' is not a version"),
        ("older minor", store(2, version="6.4.9"), PdErrorKind.UNKNOWN, "should compatible with version 6.5.0"),
        ("odd engine", store(2, labels=(("Engine", "x"),)), PdErrorKind.INVALID_VALUE, "engine"),
    ]:
        stores = stores_with(first)
        with pytest.raises(PdError, match=words) as refusal:
            stores.put(second)
        assert refusal.value.kind is kind, case
        assert [record.meta.id for record in stores] == [1], case


def test_acceptances() -> None:
    for case, second in {
        "older patch": store(2, version="6.5.0"),
        "newer": store(2, version="v8.1.0-beta.1"),
        "tiflash": store(2, version="6.5.1", labels=(("engine", "tiflash"),)),
    }.items():
        stores = stores_with(store(1, version="6.5.1"), second)
        assert len(list(stores)) == 2, case


def test_a_removed_store_does_not_come_back_and_frees_its_address() -> None:
    stores = stores_with(store(1), store(2))
    record = stores.get(StoreId(1))
    record.meta = replace(record.meta, state=StoreState.TOMBSTONE, node_state=NodeState.REMOVED)
    with pytest.raises(PdError, match="removed") as refusal:
        stores.put(store(1))
    assert refusal.value.kind is PdErrorKind.STORE_TOMBSTONE
    with pytest.raises(PdError, match="removed"):
        stores.report(StoreStats(StoreId(1)), 0, WALL_MS)
    stores.put(store(3, address=store(1).address))
    assert stores.up_ids() == [2, 3]


def test_a_known_store_changes_its_addresses_and_labels_but_not_its_state() -> None:
    stores = stores_with(store(1, labels=(("zone", "a"), ("host", "h"))))
    stores.report(StoreStats(StoreId(1)), 5, WALL_MS)
    said = store(
        1, address="10.0.0.9:1", labels=(("Zone", "b"),), state=StoreState.TOMBSTONE, node_state=NodeState.REMOVED
    )
    stores.put(said)
    meta = stores.get(StoreId(1)).meta
    assert meta.address == "10.0.0.9:1"
    assert dict(meta.labels) == {"Zone": "b", "host": "h"}
    assert (meta.state, meta.node_state) == (StoreState.UP, NodeState.SERVING)
    assert meta.last_heartbeat_ns == WALL_MS * 1_000_000


def test_the_clusters_version_is_the_oldest_and_never_loses_a_minor() -> None:
    stores = stores_with(store(1, version="6.5.3"))
    assert str(stores.version) == "6.5.3"
    stores.put(store(2, version="6.5.1"))
    assert str(stores.version) == "6.5.1"
    stores.put(store(2, version="7.1.0"))
    stores.put(store(1, version="7.0.0"))
    assert str(stores.version) == "7.0.0"
    with pytest.raises(PdError):
        stores.put(store(3, version="6.5.9"))


def test_silence_shows_in_the_name_of_the_state() -> None:
    stores = stores_with(store(1))
    assert stores.state_name(stores.get(StoreId(1)), 0) == "Disconnected"
    record = stores.report(StoreStats(StoreId(1)), 1_000, WALL_MS)
    for now_ms, name in ((21_000, "Up"), (21_001, "Disconnected"), (1_801_000, "Disconnected"), (1_801_001, "Down")):
        assert stores.state_name(record, now_ms) == name, now_ms
    record.meta = replace(record.meta, state=StoreState.TOMBSTONE)
    assert stores.state_name(record, 0) == "Tombstone"


def test_versions() -> None:
    assert parse_version("") == Version(1, 0, 0)
    assert str(parse_version("v6.5.0-alpha.1+dirty")) == "6.5.0-alpha.1"
    assert parse_version("6.5.0-alpha") < parse_version("6.5.0") < parse_version("6.10.0")
    for text in ("6.5", "six", "6.5.0.1", "6.5.x"):
        with pytest.raises(ValueError, match="not a version"):
            parse_version(text)
