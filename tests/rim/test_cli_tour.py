"""The tour's own parts: its data, its comparison, its report, and what it says of losses. No processes."""

from __future__ import annotations

import io
import unicodedata
from typing import Any, cast

import pytest
from rich.console import Console

import flaredb
from flaredb.cli import official_client
from flaredb.cli.local_cluster import LocalCluster
from flaredb.cli.official_client import scan_all
from flaredb.cli.probe import Probe, RegionView
from flaredb.cli.tables import regions_table
from flaredb.cli.tour import run as tour
from flaredb.cli.tour.clients import OwnClient, TourClients
from flaredb.cli.tour.data import other_value, unicode_names
from flaredb.cli.tour.report import TourReport
from flaredb.cli.tour.run import first_difference
from flaredb.cli.tour.state import Tour, TourFailed
from flaredb.testing import MemoryClient
from flaredb.wire.pb import metapb_pb2


class DictClient:
    """The client's face on a dictionary, with the losses that a test asks for."""

    def __init__(self) -> None:
        self.data: dict[bytes, bytes] = {}
        self.put_errors_left = 0

    def get(self, key: bytes) -> bytes | None:
        return self.data.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        if self.put_errors_left:
            self.put_errors_left -= 1
            raise Exception("no leader")  # as the official client does
        self.data[key] = value

    def batch_put(self, pairs: dict[bytes, bytes]) -> None:
        self.data |= pairs

    def batch_get(self, keys: list[bytes]) -> list[tuple[bytes, bytes]]:
        return sorted((key, self.data[key]) for key in keys if key in self.data)

    def scan(self, start: bytes, end: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        assert limit <= official_client.SCAN_LIMIT
        rows = sorted(row for row in self.data.items() if row[0] >= start and (not end or row[0] < end))
        return rows[:limit]

    def delete(self, key: bytes) -> None:
        self.data.pop(key, None)


class FakeProbe:
    def regions(self) -> list[RegionView]:
        return [region(2, b"", b"L", 1), region(4, b"L", b"", 2)]


def region(region_id: int, start: bytes, end: bytes, leader_store_id: int) -> RegionView:
    peers = [metapb_pb2.Peer(id=region_id * 10 + store_id, store_id=store_id) for store_id in (3, 1, 2)]
    meta = metapb_pb2.Region(id=region_id, start_key=start, end_key=end, peers=peers)
    return RegionView(meta, metapb_pb2.Peer(id=region_id * 10 + leader_store_id, store_id=leader_store_id))


def make_tour(client: DictClient) -> tuple[Tour, io.StringIO]:
    printed = io.StringIO()
    report = TourReport(Console(file=printed, width=120, soft_wrap=True))
    clients = TourClients(client, "a client")
    return Tour(cast(LocalCluster, None), clients, cast(Probe, FakeProbe()), report), printed


def test_data_is_every_named_character_but_the_computed_ones() -> None:
    names = unicode_names()
    assert 34_000 < len(names) < 45_000
    assert list(names) == sorted(names)
    assert names[b"LATIN SMALL LETTER E WITH ACUTE"] == "é".encode()
    assert all(unicodedata.lookup(name.decode()) == value.decode() for name, value in list(names.items())[::500])
    below = sum(name < b"L" for name in names)
    assert 0.4 < below / len(names) < 0.6, "the demo's default split key no longer halves the data"


def test_second_value_differs_and_tells_the_character() -> None:
    assert other_value("é".encode()) == "é U+00E9".encode()


def test_load_read_scan_and_verify_agree_with_the_source() -> None:
    client = DictClient()
    on_tour, printed = make_tour(client)
    for part in (tour.load, tour.read_back, tour.scan_border, tour.verify):
        part(on_tour)
    count = f"{len(unicode_names()):,}"
    text = printed.getvalue()
    assert f"{count} names of Unicode characters written" in text
    assert "6,000 rows across the region border at b'L', in order" in text
    assert f"{count} keys by scan and in batches" in text
    assert [title for title, _ in on_tour.report.durations_s] == ["load", "read back", "scan", "verify"]


def lose_one(client: DictClient) -> None:
    del client.data[b"LATIN SMALL LETTER E WITH ACUTE"]


def change_one(client: DictClient) -> None:
    client.data[b"LATIN SMALL LETTER E WITH ACUTE"] = b"e"


def add_one(client: DictClient) -> None:
    client.data[b"LATIN SMALL LETTER FLARE"] = b"f"


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lose_one, "b'LATIN SMALL LETTER E WITH ACUTE' is missing"),
        (change_one, r"has the value b'e', written was b'\\xc3\\xa9'"),
        (add_one, "b'LATIN SMALL LETTER FLARE' was never written"),
    ],
)
def test_every_kind_of_loss_is_found(damage: Any, words: str) -> None:
    client = DictClient()
    on_tour, _ = make_tour(client)
    tour.load(on_tour)
    damage(client)
    with pytest.raises(TourFailed, match=words):
        tour.verify(on_tour)


def test_rows_twice_or_out_of_order_are_found() -> None:
    rows = [(b"a", b"1"), (b"b", b"2")]
    assert "not in order or not once" in first_difference([rows[1], rows[0]], rows)
    assert "not in order or not once" in first_difference([*rows, rows[1]], rows)


def test_tour_wants_an_empty_cluster() -> None:
    client = DictClient()
    client.data[b"mine"] = b"precious"
    on_tour, _ = make_tour(client)
    with pytest.raises(TourFailed, match="choose a new --data-dir"):
        tour.load(on_tour)
    assert client.data == {b"mine": b"precious"}


def test_pause_after_the_kill_counts_what_the_client_saw() -> None:
    client = DictClient()
    on_tour, printed = make_tour(client)
    tour.load(on_tour)
    client.put_errors_left = 3
    tour.go_on(on_tour, tour.Outage(cast(Any, None), region(4, b"L", b"", 2), killed_at_s=tour.time.monotonic()))
    assert "the client saw 3 errors" in printed.getvalue()
    assert "1,000 keys of region 4 rewritten and read with one store missing" in printed.getvalue()
    tour.verify(on_tour)
    assert sum(b" U+" in value for value in client.data.values()) == 1_000


def test_no_write_in_time_fails_the_tour(monkeypatch: pytest.MonkeyPatch) -> None:
    client = DictClient()
    on_tour, _ = make_tour(client)
    tour.load(on_tour)
    client.put_errors_left = 10**9
    monkeypatch.setattr(tour, "FAILOVER_DEADLINE_S", 0.05)
    with pytest.raises(TourFailed, match=r"no write was accepted within 0\.05 s of the kill: no leader"):
        tour.go_on(on_tour, tour.Outage(cast(Any, None), region(4, b"L", b"", 2), killed_at_s=0))


def test_scan_goes_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    client = DictClient()
    client.data = {b"%03d" % number: b"" for number in range(25)}
    monkeypatch.setattr(official_client, "SCAN_LIMIT", 10)
    assert [len(page) for page in scan_all(client, b"", None)] == [10, 10, 5]
    assert [len(page) for page in scan_all(client, b"005", b"015")] == [10]
    assert list(scan_all(client, b"x", None)) == []


def test_table_names_leaders_and_replicas() -> None:
    printed = io.StringIO()
    regions = [region(2, b"", b"L", 1), region(4, b"L", b"", 0)]
    names = {1: "store-1", 2: "store-2", 3: "store-3"}
    Console(file=printed, width=100).print(regions_table(regions, {2: 17_648}, names))
    rows = [line.split() for line in printed.getvalue().splitlines() if line.strip()]
    assert rows[0] == ["region", "from", "key", "to", "key", "keys", "leader", "replicas"]
    assert rows[2] == ["2", "-inf", "b'L'", "17,648", "store-1", "store-1,", "store-2,", "store-3"]
    assert rows[3] == ["4", "b'L'", "+inf", "0", "none", "store-1,", "store-2,", "store-3"]


def test_plain_lines_without_a_terminal() -> None:
    printed = io.StringIO()
    report = TourReport(Console(file=printed, width=120))
    assert list(report.each(range(3), "counting")) == [0, 1, 2]
    with report.part("count") as part:
        part.say("three [things]")
        part.say("and no more")
    first, second = printed.getvalue().splitlines()
    assert first.startswith("1  count      three [things]")
    assert first.endswith(" s")
    assert second == "              and no more"


def test_bar_on_a_terminal_goes_away() -> None:
    printed = io.StringIO()
    report = TourReport(Console(file=printed, width=120, force_terminal=True))
    assert list(report.each(range(3), "counting")) == [0, 1, 2]
    assert "counting" in printed.getvalue()


@pytest.mark.parametrize(
    ("python", "reason"),
    [
        ("3.11.2", "the official one is not installed (pip install tikv-client==0.0.4)"),
        ("3.13.0", "the official one, tikv-client 0.0.4, has no wheel for CPython 3.13.0 on Linux"),
    ],
)
def test_a_missing_client_is_named_with_the_reason(monkeypatch: pytest.MonkeyPatch, python: str, reason: str) -> None:
    monkeypatch.setattr(official_client.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(official_client.platform, "python_version", lambda: python)
    monkeypatch.setattr(official_client.platform, "system", lambda: "Linux")
    assert official_client.why_missing() == reason


def test_our_own_client_has_the_official_ones_calls() -> None:
    client = OwnClient(cast(flaredb.Client, MemoryClient()))
    client.batch_put({b"a": b"1", b"c": b"3"})
    client.put(b"b", b"2")
    assert client.get(b"b") == b"2"
    assert client.batch_get([b"c", b"x", b"a"]) == [(b"c", b"3"), (b"a", b"1")]
    assert client.scan(b"a", None, 2) == [(b"a", b"1"), (b"b", b"2")]
    assert client.scan(b"b", b"c", 2) == [(b"b", b"2")]
    client.delete(b"a")
    assert client.scan(b"", None, 10) == [(b"b", b"2"), (b"c", b"3")]
