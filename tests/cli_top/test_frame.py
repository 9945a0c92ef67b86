"""The picture: what is on it, and what goes where there is no room."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from flaredb.cli.status.facts import ClusterFacts, Reach
from flaredb.cli.status.verdict import judge, unreachable
from flaredb.cli.top.command import SORT_NAMES
from flaredb.cli.top.frame import SORTS, frame, frame_json, store_rows
from flaredb.cli.top.poller import View
from flaredb.cli.top.series import Rates
from tests.cli_status.cluster_facts import MOVE, cluster, region, store

BUSY = Rates(1_234, 56, 0, 3_500_000, 20_000, 0.0123, 0.5, 0.002, 90 << 20)
QUIET = Rates(1, 500, 0, 10, 20, None, 0.01, None, 80 << 20)


def of_pd(region_id: int, leader: int = 1, keys: int = 10, **more: Any) -> dict[str, Any]:
    peers = [{"id": region_id * 10 + store_id, "store_id": store_id, "role_name": "Voter"} for store_id in (1, 2, 3)]
    leads = {"store_id": leader} if leader else {}
    item = {"id": region_id, "start_key": "6B", "peers": peers, "leader": leads, "read_keys": keys, "written_keys": 0}
    return {**item, "approximate_keys": keys, "approximate_size": 1, **more}


def view(facts: ClusterFacts | None = None, count: int = 2, **more: Any) -> View:
    facts = facts or cluster()
    regions = tuple(of_pd(number, keys=number) for number in range(1, count + 1))
    given: dict[str, Any] = {"rates": {1: BUSY, 2: QUIET}, "regions": regions, **more}
    return View(judge(facts), facts, **given)


def lines(shown: View, sort: str = "id", height: int = 40, width: int = 120) -> list[str]:
    console = Console(width=width, height=height, highlight=False, color_system=None)
    with console.capture() as captured:
        console.print(frame(shown, sort, height, width, "q ends"))
    return [line.rstrip() for line in captured.get().splitlines()]


def test_picture_of_a_healthy_cluster() -> None:
    found = lines(view(), width=160)
    assert found[0] == "Healthy: 3 stores, 2 regions with 3 replicas each."
    assert found[2] == "1,235 reads/s, 556 writes/s; 3.34 MiB/s read, 19.6 KiB/s written; 99 % of calls within 12.3 ms"
    headings = "store address state leaders regions lagging reads/s writes/s read B/s written B/s p99 ms sync ms cpu"
    assert " ".join(found[4].split()) == f"{headings} memory heard"
    assert found[5].split()[:10] == ["1", "Up", "0", "2", "0", "1,234", "56", "3.34M", "19.5K", "12.3"]
    assert found[7].split()[-11:-3] == ["-"] * 8, "the third store was asked once only"
    assert found[-1] == "q ends"


def test_a_store_that_is_down_is_shown_as_such() -> None:
    facts = cluster((store(1), store(2), store(3, reach=Reach.GONE)))
    found = lines(view(facts))
    assert found[0].startswith("Degraded: store 3 does not answer")
    (row,) = [line for line in found if "no answer" in line]
    assert row.split()[0] == "3"
    assert any(line.endswith("lost on 3") for line in found)


def test_moves_are_shown_and_only_some_of_many() -> None:
    found = lines(view(cluster(moves=(MOVE,) * 9)))
    at = next(number for number, line in enumerate(found) if line.startswith("moving"))
    assert " ".join(found[at + 1].split()) == "region 1 balance-region: mv peer: store [1] to [4] 1/4"
    assert found[at + 7] == "and 3 more"


def test_pd_that_went_away_leaves_the_last_picture() -> None:
    found = lines(View(unreachable("PD does not answer at h"), cluster(), {1: BUSY}))
    assert found[0] == "Unknown: PD does not answer at h."
    assert any(line.split()[:1] == ["1"] for line in found)
    assert lines(View(unreachable("PD does not answer at h")))[0] == "Unknown: PD does not answer at h."


@pytest.mark.parametrize(("height", "width"), [(40, 120), (24, 80), (30, 100), (24, 100)])
def test_it_fits_the_terminal(height: int, width: int) -> None:
    found = lines(view(count=300), height=height, width=width)
    assert len(found) <= height
    assert max(map(len, found)) <= width
    assert found[-1] == "q ends"
    assert any(line.endswith("more") for line in found)


def test_what_matters_less_goes_first_where_there_is_no_room() -> None:
    found = {width: lines(view(), width=width) for width in (80, 120, 160)}
    headings = {width: next(line for line in found[width] if line.startswith("store ")) for width in found}
    assert [width for width in headings if "memory" in headings[width]] == [160]
    assert [width for width in headings if "written B/s" in headings[width]] == [120, 160]
    assert [width for width in headings if "writes/s" in headings[width]] == [80, 120, 160]


def test_the_busiest_regions_come_first() -> None:
    found = lines(view(count=300), height=24)
    at = next(number for number, line in enumerate(found) if line.startswith("region"))
    assert [line.split()[0] for line in found[at + 1 : at + 4]] == ["300", "299", "298"]


ORDERS = [("id", "123"), ("reads", "123"), ("writes", "213"), ("leaders", "312")]


@pytest.mark.parametrize(("sort", "ids"), ORDERS)
def test_order_of_the_stores(sort: str, ids: str) -> None:
    facts = cluster((store(1), store(2), store(3, leaders=4)))
    assert "".join(line.split()[0] for line in lines(view(facts), sort)[5:8]) == ids


def test_orders_of_the_command_are_those_there_are() -> None:
    assert tuple(SORTS) == SORT_NAMES


STATES = [
    ("well", of_pd(1), cluster(), "ok"),
    ("no leader has reported", of_pd(1, leader=0), cluster(), "no leader known"),
    ("its leader is gone", of_pd(1, leader=3), cluster((store(1), store(2), store(3, "Down"))), "no leader known"),
    ("a replica is lost", of_pd(1), cluster((store(1), store(2), store(3, "Down"))), "lost on 3"),
    ("it moves", of_pd(1), cluster(moves=(MOVE,)), "moving"),
    ("a replica lags", of_pd(1, pending_peers=[{"id": 12, "store_id": 2}]), cluster(), "lags on 2"),
]


@pytest.mark.parametrize(("case", "item", "facts", "state"), STATES, ids=[row[0] for row in STATES])
def test_state_of_a_region(case: str, item: dict[str, Any], facts: ClusterFacts, state: str) -> None:
    (found,) = frame_json(View(judge(facts), facts, {}, (item,)))["region_list"]
    assert found["state"] == state


def test_json_has_rates_beside_the_stores() -> None:
    found = frame_json(view(cluster(regions=(region(1, 1, 2, 3),))))
    assert found["verdict"] == "healthy"
    assert found["stores"][0]["rates"]["reads_per_s"] == 1_234
    assert found["stores"][0]["rates"]["p99_ms"] == 12.3
    assert found["stores"][1]["rates"]["p99_ms"] is None
    assert found["stores"][2]["rates"] is None
    assert found["at"] == "1970-01-01T00:00:00Z"


def test_rows_for_programs_have_plain_numbers() -> None:
    table = store_rows(view())
    first = dict(zip((column.heading for column in table.columns), table.rows[0], strict=True))
    assert (first["id"], first["serves"], first["reads_per_s"], first["p99_ms"]) == ("1", "True", "1234", "12.3")
    last = dict(zip((column.heading for column in table.columns), table.rows[2], strict=True))
    assert last["reads_per_s"] == ""
