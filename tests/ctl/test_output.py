"""What answers look like: for people, for programs, as JSON; and failures."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from flaredb.cli.ctl.operator_view import duration_text, parse_operator
from flaredb.cli.output import LEGIBLE, Column, Table, fitted_widths
from flaredb.model.cluster import StoreState
from flaredb.pd.messages import GetOperator, ListOperators, ListSchedulers, OperatorStatus, PdError, PdErrorKind, Why
from tests.ctl.ctl_rig import CtlRig
from tests.pd.helpers import WALL_MS
from tests.rim.scheduling_fake import operator, scheduler


async def test_stores_in_a_pipe(ctl: CtlRig) -> None:
    assert (await ctl.done("store")).rows == [
        ["store", "address", "state", "leaders", "regions", "MiB", "free", "uptime", "labels"],
        ["1", "127.0.0.1:20001", "Up", "3", "9", "288", "93GiB", "1h2m3s", ""],
        ["2", "127.0.0.1:20002", "Up", "3", "9", "288", "93GiB", "1h2m3s", ""],
    ]
    one = dict((await ctl.done("store", "2")).rows)
    assert (one["leaders"], one["disk"]) == ("3 (96 MiB)", "7GiB used, 93GiB available, of 100GiB")
    ctl.fake.set_state(2, StoreState.TOMBSTONE)
    assert len((await ctl.done("store")).rows) == 2
    assert (await ctl.done("store", "check", "Tombstone")).rows[1][2] == "Tombstone"


async def test_regions_in_a_pipe(ctl: CtlRig) -> None:
    heading = ["region", "from_key", "to_key", "leader", "stores", "MiB", "keys", "epoch", "state"]
    left = ["2", "-inf", "b'm'", "1", "1", "1", "0", "2.1", "ok"]
    right = ["5", "b'm'", "+inf", "1", "1 2", "1", "0", "2.1", "ok"]
    for line, rows in [
        ("region", [left, right]),
        ("region scan", [left, right]),
        ("region keys m", [right]),
        ("region keys hex:00 b'm'", [left]),
        ("region topsize 1", [left]),
        ("region store 2", [right]),
        ("region sibling 2", [right]),
        ("region check miss-peer", [left, right]),
        ("region check down-peer", []),
    ]:
        assert (await ctl.done(*line.split())).rows == [heading, *rows], line
    assert (await ctl.done("region", "range-holes")).rows == [["from_key", "to_key"]]
    for line in ("region 5", "region show 5", "region key z", r"region key b'm\x00'", "region key --format=hex 6DFF"):
        assert (await ctl.done(*line.split())).rows[0] == ["region", "5"], line


async def test_operators_in_a_pipe(ctl: CtlRig) -> None:
    (heading, row) = (await ctl.done("operator", "show", "region")).rows
    assert heading == ["region", "operator", "does", "step", "now", "age"]
    assert row[:4] == ["2", "balance-region", "mv peer: store [1] to [4]", "1/3"]
    assert row[4] == "use joint consensus, promote learner peer 900 on store 4 to voter"
    checked = (await ctl.done("operator", "check", "2")).rows
    assert checked[-3:] == [
        ["step 1", "add learner peer 900 on store 4 (done)"],
        ["step 2", "use joint consensus, promote learner peer 900 on store 4 to voter (now)"],
        ["step 3", "remove peer 201 on store 1 (to do)"],
    ]
    ended = operator(2, status=OperatorStatus.CANCEL, reason="by hand", ended_at_ms=WALL_MS + 1_510)
    ctl.fake.answers[GetOperator] = ended
    ctl.fake.answers[ListOperators] = (ended,)
    assert ["reason", "by hand"] in (await ctl.done("operator", "check", "2")).rows
    assert (await ctl.done("operator", "history")).rows[1][3] == "cancel: by hand after 1.5s"


async def test_schedulers_settings_members(ctl: CtlRig) -> None:
    paused = scheduler("balance-region-scheduler", paused_at_ms=WALL_MS, resume_at_ms=WALL_MS + 1)
    ctl.fake.answers[ListSchedulers] = (paused, scheduler("balance-leader-scheduler"))
    assert [row[:2] for row in (await ctl.done("scheduler")).rows[1:]] == [
        ["balance-region-scheduler", "paused"],
        ["balance-leader-scheduler", "pending"],
    ]
    assert (await ctl.done("config")).rows == [
        ["section", "setting", "value"],
        ["schedule", "enable-joint-consensus", "true"],
        ["schedule", "max-store-down-time", "30m"],
        ["schedule", "region-schedule-limit", "2048"],
        ["replication", "location-labels", ""],
        ["replication", "max-replicas", "3"],
    ]
    assert len((await ctl.done("config", "show", "replication")).rows) == 3
    assert (await ctl.done("member")).rows[1][1:] == ["pd", f"http://{ctl.pd.node.address}", "6.5.0", "yes"]
    assert (await ctl.done("health")).rows[1][3] == "well"
    assert (await ctl.done("cluster")).rows == [["cluster id", str(ctl.pd.cluster_id)], ["replicas", "3"]]
    assert (await ctl.done("cluster", "status")).rows[0] == ["bootstrapped", "yes"]
    assert (await ctl.done("ping")).out.startswith("PD answers in ")
    assert (await ctl.done("store", "limit", "add-peer")).rows[1] == ["1", "15", ""]


async def test_json_is_pd_s_own(ctl: CtlRig) -> None:
    assert json.loads((await ctl.done("region", "-o", "json")).out)["regions"][0]["end_key"] == "6D"
    assert json.loads((await ctl.done("operator", "-o", "json")).out)[0].startswith("balance-region {")
    assert json.loads((await ctl.done("operator", "remove", "2", "-o", "json")).out).startswith("The pending operator")


async def test_tables_for_people(ctl: CtlRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "72")
    out = (await ctl.done("store", "-o", "table")).out
    assert out.splitlines()[1].split() == ["1", "127.0.0.1:20001", "Up", "3", "9", "288", "93GiB", "1h2m3s"]
    lines = (await ctl.done("operator", "-o", "table")).out.splitlines()
    assert "mv peer: sto…" in lines[1]
    ctl.fake.answers[ListOperators] = ()
    assert (await ctl.done("operator", "-o", "table")).out == "no operator runs\n"


def test_columns_give_way_where_they_may() -> None:
    table = Table([Column("id"), Column("key", may_shrink=True), Column("end", may_shrink=True)])
    table.rows = [["10", "k" * 40, "e" * 20]]
    assert fitted_widths(table, 80) == [2, 40, 20]
    assert fitted_widths(table, 60) == [2, 32, 20]
    assert fitted_widths(table, 40) == [2, 16, 16]
    assert fitted_widths(table, 10) == [2, LEGIBLE, LEGIBLE]


async def test_what_pd_refuses_is_one_line_and_code_1(ctl: CtlRig) -> None:
    for line, words in [
        ("store 9", "store 9 does not exist"),
        ("region 77", "region 77 does not exist"),
        ("store delete addr 127.0.0.1:9", "no store has the address"),
    ]:
        ran = await ctl.run(*line.split())
        assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1), line
        assert words in ran.err
    ctl.fake.answers[Why] = PdError(PdErrorKind.REGION_NOT_FOUND, "region 7 is not known")
    assert (await ctl.run("why", "region", "7")).err == "flaredb: region 7 is not known\n"


async def test_a_page_that_this_pd_lacks_is_named(ctl: CtlRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flaredb.cli.ctl.http.API", "/pd/api/v0")
    ran = await ctl.run("why", "region", "7")
    assert (ran.code, ran.err) == (1, "flaredb: this PD does not offer /pd/api/v0/why/region/7\n")


def test_an_operator_s_line_of_stock_pd_is_read() -> None:
    line = (
        '"admin-move-peer {mv peer: store [1] to [4]} (kind:region,admin, region:10(5, 3), createAt:2024-01-02 '
        "15:04:05.123456789 +0800 CST m=+83.1, startAt:0001-01-01 00:00:00 +0000 UTC, currentStep:0, size:30, "
        'steps:[0:{add learner peer 14 on store 4}, 1:{remove peer 11 on store 1}],timeout:[11m0s])"'
    )
    view = parse_operator(line)
    assert view is not None
    assert (view.region_id, view.name, view.kind, view.progress) == ("10", "admin-move-peer", "region,admin", "0/2")
    assert view.steps == ("add learner peer 14 on store 4", "remove peer 11 on store 1")
    assert parse_operator("what is this") is None


def test_durations() -> None:
    assert [duration_text(seconds) for seconds in (0, 59.9, 60, 3_599, 3_600, 90_061)] == [
        *("0s", "59s", "1m00s", "59m59s", "1h00m", "25h01m"),
    ]


def test_a_look_at_stores_loads_nothing_heavy() -> None:
    heavy = {"grpc", "rich", "aiohttp", "msgspec", "uvloop", "asyncio"}
    code = (
        "import sys, flaredb.cli.ctl.store, flaredb.cli.ctl.region, flaredb.cli.ctl.http;"
        f"print(sorted({heavy} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
