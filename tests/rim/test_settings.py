"""Configuration: what loads, what is refused and with which words."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flaredb.model import units
from flaredb.model.errors import ConfigError
from flaredb.server import toml_file, toml_text
from flaredb.server.profiles import PROFILES
from flaredb.server.settings import (
    PdSettings,
    StoreSettings,
    load_pd_settings,
    load_store_settings,
    parse_key,
)
from flaredb.server.snapshot_limits import SnapshotLimits
from flaredb.server.store_snapshots import snapshot_limits
from flaredb.store.config import StoreConfig


@pytest.mark.parametrize(
    ("text", "duration_ms"),
    [
        ("0s", 0),
        ("500ms", 500),
        ("1s", 1_000),
        ("1.5s", 1_500),
        ("1h30m", 5_400_000),
        ("2m5s10ms", 125_010),
        ("1d", 86_400_000),
    ],
)
def test_duration_is_read(text: str, duration_ms: int) -> None:
    assert units.parse_duration_ms(text) == duration_ms


@pytest.mark.parametrize("text", ["", "1", "s", "1x", "1s1h", "1s1s", "0.1ms", "-1s", "1s ", "1 hour"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a duration such as"):
        units.parse_duration_ms(text)


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("0", 0),
        ("7B", 7),
        ("8KiB", 8_192),
        ("8KB", 8_192),
        ("8k", 8_192),
        ("1MiB", 1 << 20),
        ("1.5 GB", 3 << 29),
        ("2TiB", 2 << 40),
    ],
)
def test_size_is_read(text: str, size_bytes: int) -> None:
    assert units.parse_size_bytes(text) == size_bytes


@pytest.mark.parametrize("text", ["", "KiB", "1XB", "-1KB", "0.3B", "1 2"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a size such as"):
        units.parse_size_bytes(text)


@settings(deadline=None)
@given(st.integers(min_value=0, max_value=10**12))
def test_durations_and_sizes_survive_being_written(number: int) -> None:
    assert units.parse_duration_ms(units.format_duration(number)) == number
    assert units.parse_size_bytes(units.format_size(number)) == number


def test_defaults_are_tikvs_and_pds() -> None:
    store, pd = StoreSettings(), PdSettings()
    store.validate()
    pd.validate()
    assert (store.server.addr, store.server.status_addr, store.peer_addr) == (
        "127.0.0.1:20160",
        "127.0.0.1:20180",
        "127.0.0.1:20170",
    )
    raftstore = store.raftstore
    assert raftstore.raft_log_gc_threshold == StoreConfig().log_gc_threshold == 1_024
    assert raftstore.max_waiting_requests == StoreConfig().requests_max
    assert raftstore.region_max_waiting_writes_size_bytes == StoreConfig().region_write_bytes_max
    assert raftstore.region_max_unapplied_entries == StoreConfig().region_entries_max
    assert raftstore.max_unsynced_size_bytes == StoreConfig().unsynced_bytes_max
    assert (raftstore.read_mode, StoreConfig().lease_reads, StoreConfig().lease_length_ms) == ("lease", True, 7_237)
    assert raftstore.max_waiting_writes_size_bytes == StoreConfig().write_bytes_max
    assert raftstore.raft_log_gc_count_limit == StoreConfig().log_count_max
    assert raftstore.raft_log_gc_size_limit_bytes == StoreConfig().log_size_bytes_max
    assert raftstore.abnormal_leader_missing_duration_ms == StoreConfig().leader_missing_ms
    assert store.server.concurrent_send_snap_limit == StoreConfig().snapshots_sending_max
    limits = SnapshotLimits()
    assert snapshot_limits(store) == limits
    assert (limits.sending_max, limits.receiving_max, limits.bytes_per_second) == (3, 3, 100 << 20)
    assert store.server.graceful_shutdown_timeout_ms == 20_000
    assert raftstore.raft_base_tick_interval_ms == 1_000
    assert (raftstore.raft_heartbeat_ticks, raftstore.raft_election_timeout_ticks) == (2, 10)
    assert (raftstore.election_timeout_ticks_min, raftstore.election_timeout_ticks_max) == (10, 20)
    assert (pd.address, pd.data_path, pd.replication.max_replicas, pd.stores_wanted) == (
        "127.0.0.1:2379",
        "default.pd",
        3,
        3,
    )


STORE_FILE = """
[server]
addr = "127.0.0.1:4000"
labels = { zone = "east", host = "h1" }
snap-io-max-bytes-per-sec = "10MiB"
concurrent-send-snap-limit = 7
graceful-shutdown-timeout = "5s"
[storage]
data-dir = "/var/lib/flaredb"
max-key-size = "4KiB"
[pd]
endpoints = ["http://10.0.0.1:2379", "10.0.0.2:2379"]
[raftstore]
raft-base-tick-interval = "50ms"
raft-entry-max-size = 1048576
[log]
level = "warn"
[log.file]
filename = "store.log"
"""


def test_store_file_is_read_and_flags_win(tmp_path: Path) -> None:
    path = tmp_path / "store.toml"
    path.write_text(STORE_FILE)
    settings = load_store_settings(path, {"server": {"status-addr": "127.0.0.1:4001"}, "log": {"level": "debug"}})
    assert settings.server.addr == "127.0.0.1:4000"
    assert settings.server.status_addr == "127.0.0.1:4001"
    assert settings.peer_addr == "127.0.0.1:4010"
    assert settings.server.labels == {"zone": "east", "host": "h1"}
    assert (snapshot_limits(settings).bytes_per_second, snapshot_limits(settings).sending_max) == (10 << 20, 7)
    assert settings.server.graceful_shutdown_timeout_ms == 5_000
    assert settings.storage.max_key_size_bytes == 4_096
    assert settings.pd_addresses == ("10.0.0.1:2379", "10.0.0.2:2379")
    assert settings.raftstore.raft_base_tick_interval_ms == 50
    assert settings.raftstore.raft_entry_max_size_bytes == 1 << 20
    assert settings.log.level == "debug"
    assert settings.log.file.filename == "store.log"


def test_pd_file_is_read() -> None:
    settings = toml_file.build(
        PdSettings,
        tomllib.loads(
            """
            name = "pd-1"
            client-urls = "http://127.0.0.1:3000"
            tso-save-interval = "5s"
            [replication]
            max-replicas = 1
            [bootstrap]
            split-keys = ["t", "M", "hex:00ff"]
            """
        ),
    )
    settings.validate()
    assert (settings.data_path, settings.address, settings.tso_save_interval_ms) == (
        "default.pd-1",
        "127.0.0.1:3000",
        5_000,
    )
    assert settings.bootstrap.keys == (b"\x00\xff", b"M", b"t")
    assert settings.stores_wanted == 1


REFUSED_KEYS = [
    ("a misspelt key names the nearest", "[raftstore]\nraft-hearbeat-ticks = 2", "raftstore.raft-heartbeat-ticks?"),
    ("a misspelt section too", "[raft-store]\nraft-heartbeat-ticks = 2", "raft-store; did you mean raftstore?"),
    ("a key in the wrong section", "[storage]\naddr = 'x'", "storage.addr; did you mean server.addr?"),
    ("a key outside any section", "raft-base-tick-interval = '1s'", "did you mean raftstore.raft-base-tick-interval?"),
    ("snake case", "[storage]\ndata_dir = 'x'", "storage.data_dir; did you mean storage.data-dir?"),
    ("the unit is no part of the key", "[raftstore]\nraft-base-tick-interval-ms = 1", "raft-base-tick-interval?"),
    ("a section of TiKV's that means nothing here", "[readpool]\n", "unknown configuration key readpool"),
    ("two levels down", "[log.file]\nfile-name = 'x'", "log.file.file-name; did you mean log.file.filename?"),
]


@pytest.mark.parametrize(("case", "text", "words"), REFUSED_KEYS, ids=[row[0] for row in REFUSED_KEYS])
def test_unknown_key_is_refused_with_the_nearest(case: str, text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "store.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as refused:
        load_store_settings(path, {})
    assert words in str(refused.value)
    assert str(path) in str(refused.value)


REFUSED_VALUES: list[tuple[str, dict[str, Any], str]] = [
    (
        "a number for a duration",
        {"raftstore": {"raft-base-tick-interval": 50}},
        'raftstore.raft-base-tick-interval = 50 is not allowed: it must be a duration such as "500ms"',
    ),
    ("a duration of nothing", {"raftstore": {"raft-base-tick-interval": "0s"}}, "a duration of at least 1ms"),
    ("a wrong unit", {"raftstore": {"raft-entry-max-size": "8 megs"}}, '"8 megs" is not allowed: it must be a size'),
    ("more than the protocol's limit", {"storage": {"max-key-size": "9KiB"}}, "of at least 1B and at most 8KiB"),
    ("text for a number", {"raftstore": {"raft-heartbeat-ticks": "2"}}, 'raft-heartbeat-ticks = "2" is not allowed'),
    ("too small a number", {"raftstore": {"raft-heartbeat-ticks": 0}}, "a whole number of at least 1"),
    ("a flag for a number", {"raftstore": {"raft-heartbeat-ticks": True}}, "= true is not allowed"),
    ("an unknown choice", {"log": {"level": "loud"}}, 'one of "debug", "error", "fatal", "info", "trace", "warn"'),
    ("a string for a list", {"pd": {"endpoints": "127.0.0.1:2379"}}, "it must be a list of strings"),
    ("numbers as labels", {"server": {"labels": {"zone": 1}}}, "it must be a table of strings"),
    ("a value for a section", {"log": "info"}, "log is a section: write [log]"),
    ("an empty directory", {"storage": {"data-dir": ""}}, "it must be a string that is not empty"),
]


@pytest.mark.parametrize(("case", "tables", "words"), REFUSED_VALUES, ids=[row[0] for row in REFUSED_VALUES])
def test_value_that_does_not_fit_is_refused(case: str, tables: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_store_settings(None, tables)
    assert words in str(refused.value)


REFUSED_RELATIONS: list[tuple[str, dict[str, Any], str]] = [
    (
        "a write that would always wait in vain",
        {"raftstore": {"max-waiting-writes-size": "1MiB"}},
        "raftstore.raft-entry-max-size",
    ),
    (
        "RocksDB's brake before ours",
        {"storage": {"flow-control": {"memtables-threshold": 8}}},
        "memtables-threshold = 8 must be less than 8",
    ),
    (
        "no room between soft and hard",
        {"storage": {"flow-control": {"soft-pending-compaction-bytes-limit": "64GiB"}}},
        "must be less than storage.flow-control.hard-pending-compaction-bytes-limit",
    ),
    (
        "a write that its region would always refuse",
        {"raftstore": {"region-max-waiting-writes-size": "1MiB"}},
        "region-max-waiting-writes-size",
    ),
    ("heartbeats too rare", {"raftstore": {"raft-heartbeat-ticks": 10}}, "must be less than"),
    ("shortest timeout below the election's", {"raftstore": {"raft-min-election-timeout-ticks": 9}}, "not be less"),
    (
        "no room to randomise",
        {"raftstore": {"raft-min-election-timeout-ticks": 12, "raft-max-election-timeout-ticks": 12}},
        "must be greater than the shortest timeout of 12 ticks",
    ),
    ("a lease that outlasts its leader", {"raftstore": {"raft-store-max-leader-lease": "10s"}}, "another leader may"),
    ("a log dropped before it is compacted", {"raftstore": {"raft-log-gc-count-limit": 1024}}, "need snapshots"),
    (
        "PD asked before an election can end",
        {"raftstore": {"abnormal-leader-missing-duration": "20s"}},
        "longest election timeout of 20000 ms",
    ),
    ("no PD", {"pd": {"endpoints": []}}, "name at least one PD"),
    ("TLS", {"pd": {"endpoints": ["https://127.0.0.1:2379"]}}, "TLS is not supported yet"),
    ("an address without a port", {"server": {"addr": "localhost"}}, "write host:port"),
    ("a port that does not exist", {"server": {"addr": "localhost:70000"}}, "write host:port"),
    ("every interface, not advertised", {"server": {"addr": "0.0.0.0:20160"}}, "set server.advertise-addr too"),
    ("an advertised address of no use", {"server": {"advertise-addr": "0.0.0.0:1"}}, "no address that others can dial"),
    ("one port twice", {"server": {"status-addr": "127.0.0.1:20160"}}, "both use port 20160"),
    ("the default peer port twice", {"server": {"addr": "127.0.0.1:20170"}}, "both use port 20180"),
]


@pytest.mark.parametrize(("case", "tables", "words"), REFUSED_RELATIONS, ids=[row[0] for row in REFUSED_RELATIONS])
def test_settings_that_contradict_each_other_are_refused(case: str, tables: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_store_settings(None, tables)
    assert words in str(refused.value)


REFUSED_PD: list[tuple[str, dict[str, Any], str]] = [
    ("several URLs", {"client-urls": "http://a:1,http://b:2"}, "names several URLs"),
    ("every interface, not advertised", {"client-urls": "http://0.0.0.0:2379"}, "set advertise-client-urls too"),
    ("a key twice", {"bootstrap": {"split-keys": ["a", "hex:61"]}}, "names b'a' twice"),
    ("an empty key", {"bootstrap": {"split-keys": [""]}}, "1 to 8 KiB"),
    ("bad digits", {"bootstrap": {"split-keys": ["hex:0"]}}, "pairs of hexadecimal digits"),
    ("fewer stores than replicas", {"bootstrap": {"split-keys": ["m"], "stores": 2}}, "a store of its own"),
]


@pytest.mark.parametrize(("case", "tables", "words"), REFUSED_PD, ids=[row[0] for row in REFUSED_PD])
def test_pd_settings_that_cannot_work_are_refused(case: str, tables: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_pd_settings(None, tables)
    assert words in str(refused.value)


def test_every_interface_is_fine_with_an_advertised_address() -> None:
    settings = load_pd_settings(
        None, {"client-urls": "http://0.0.0.0:2379", "advertise-client-urls": "http://10.0.0.1:2379"}
    )
    assert settings.advertise_addresses == ("10.0.0.1:2379",)


def test_port_zero_may_be_used_by_every_listener() -> None:
    server = {"addr": "127.0.0.1:0", "status-addr": "127.0.0.1:0"}
    assert load_store_settings(None, {"server": server}).peer_addr == "127.0.0.1:0"


@pytest.mark.parametrize("kind", [StoreSettings, PdSettings])
def test_dictionary_shows_what_a_file_would_say(kind: type[StoreSettings] | type[PdSettings]) -> None:
    settings = kind()
    tables = settings.to_dict()
    assert toml_file.build(kind, tables) == settings
    assert toml_file.build(kind, tomllib.loads(toml_text.dump_toml(tables))) == settings


def test_dictionary_uses_tikvs_spelling() -> None:
    tables = StoreSettings().to_dict()
    assert tables["raftstore"]["raft-base-tick-interval"] == "1s"
    assert tables["raftstore"]["raft-entry-max-size"] == "8MiB"
    assert tables["storage"]["data-dir"] == "flaredb-store"


def test_written_toml_keeps_odd_text() -> None:
    tables = {"labels": {"a b": 'quote " and \\ and é', "é": "\n"}, "keys": ["\t", "ü"], "on": True}
    assert tomllib.loads(toml_text.dump_toml(tables)) == tables


def test_merge_is_deep_and_changes_neither() -> None:
    base, over = {"a": {"x": 1, "y": 2}, "b": 1}, {"a": {"y": 3}, "c": [1]}
    assert toml_text.merge(base, over) == {"a": {"x": 1, "y": 3}, "b": 1, "c": [1]}
    assert base == {"a": {"x": 1, "y": 2}, "b": 1}


def test_broken_file_is_refused_with_its_name(tmp_path: Path) -> None:
    missing, broken = tmp_path / "none.toml", tmp_path / "broken.toml"
    broken.write_text("[server\n")
    with pytest.raises(ConfigError, match=r"none\.toml: No such file"):
        load_store_settings(missing, {})
    with pytest.raises(ConfigError, match=r"broken\.toml is not valid TOML.*line 1"):
        load_store_settings(broken, {})


def test_keys_are_text_or_hexadecimal() -> None:
    assert parse_key("é") == b"\xc3\xa9"
    assert parse_key("hex:6D00") == b"m\x00"


def test_split_sizes_follow_the_split_size_unless_named() -> None:
    coprocessor = StoreSettings().coprocessor
    assert (coprocessor.region_split_size_bytes, coprocessor.max_size_bytes) == (32 << 20, 48 << 20)
    assert (coprocessor.split_keys, coprocessor.max_keys) == (320_000, 480_000)
    small = load_store_settings(None, {"coprocessor": {"region-split-size": "1MiB", "region-max-keys": 20_000}})
    assert (small.coprocessor.max_size_bytes, small.coprocessor.split_keys) == (3 << 19, 10_000)
    assert small.coprocessor.max_keys == 20_000


@pytest.mark.parametrize(
    ("table", "named"),
    [
        ({"region-split-size": "2MiB", "region-max-size": "1MiB"}, "coprocessor.region-max-size"),
        ({"region-split-keys": 20, "region-max-keys": 10}, "coprocessor.region-max-keys"),
    ],
)
def test_split_sizes_that_contradict_each_other_are_refused(table: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        load_store_settings(None, {"coprocessor": table})


def test_the_tikv_profile_has_tikvs_numbers() -> None:
    settings = load_store_settings(None, {"profile": "tikv"})
    coprocessor, raftstore = settings.coprocessor, settings.raftstore
    assert (coprocessor.region_split_size_bytes, coprocessor.max_size_bytes) == (256 * 2**20, 384 * 2**20)
    assert (coprocessor.split_keys, coprocessor.max_keys) == (2_560_000, 3_840_000)
    assert raftstore.split_region_check_tick_interval_ms == 10_000
    assert raftstore.raft_log_gc_threshold == 50
    assert settings.profile == "tikv"
    assert load_store_settings(None, {}).coprocessor.region_split_size_bytes == 32 * 2**20


def test_file_and_flags_win_over_the_profile(tmp_path: Path) -> None:
    path = tmp_path / "store.toml"
    path.write_text('profile = "tikv"\n[coprocessor]\nregion-split-size = "128MiB"\n')
    settings = load_store_settings(path, {"coprocessor": {"region-max-size": "200MiB"}})
    assert settings.coprocessor.region_split_size_bytes == 128 * 2**20
    assert settings.coprocessor.max_size_bytes == 200 * 2**20
    assert settings.coprocessor.split_keys == 2_560_000, "what nobody names is the profile's"
    assert load_store_settings(path, {"profile": "default"}).coprocessor.split_keys == 1_280_000


def test_every_profile_is_valid() -> None:
    for name in PROFILES:
        load_store_settings(None, {"profile": name})


def test_an_unknown_profile_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean tikv"):
        load_store_settings(None, {"profile": "tikb"})
    with pytest.raises(ConfigError, match="there are: default, tikv"):
        load_store_settings(None, {"profile": "production"})
