"""pd-ctl's grammar: which order each line gives, and what is refused before PD is asked."""

from __future__ import annotations

import pytest

from flaredb.model.ids import RegionId, StoreId
from flaredb.model.orders import SplitPolicy
from flaredb.pd.messages import (
    AddLearnerOp,
    AddOperator,
    AddPeerOp,
    AddScheduler,
    CancelOperator,
    CancelRemoveStore,
    ListSchedulers,
    PauseScheduler,
    RemovePeerOp,
    RemoveScheduler,
    RemoveStore,
    RemoveTombstones,
    ScatterRegion,
    SetScheduleConfig,
    SetStoreLabels,
    SetStoreLimit,
    SetStoreWeight,
    SplitRegionOp,
    TransferLeaderOp,
    TransferPeerOp,
    Why,
)
from tests.ctl.ctl_rig import CtlRig, run
from tests.rim.scheduling_fake import scheduler

TWO, FOUR = RegionId(2), StoreId(4)

ORDERS = [
    ("store delete 2", RemoveStore(StoreId(2))),
    ("store delete addr 127.0.0.1:20002", RemoveStore(StoreId(2))),
    ("store label 1 zone=east host=h1", SetStoreLabels(StoreId(1), (("zone", "east"), ("host", "h1")))),
    ("store label 1 zone=east --rewrite", SetStoreLabels(StoreId(1), (("zone", "east"),), True)),
    ("store label 1 zone --delete", SetStoreLabels(StoreId(1), (("zone", ""),))),
    ("store weight 1 2 0.5", SetStoreWeight(StoreId(1), 2.0, 0.5)),
    ("store limit 1 30", SetStoreLimit(StoreId(1), 30.0)),
    ("store limit 1 30 add-peer", SetStoreLimit(StoreId(1), 30.0, "add-peer")),
    ("store limit all 7.5 remove-peer", SetStoreLimit(None, 7.5, "remove-peer")),
    ("store remove-tombstone", RemoveTombstones()),
    ("operator add add-peer 2 4", AddOperator(AddPeerOp(TWO, FOUR))),
    ("operator add add-learner 2 4", AddOperator(AddLearnerOp(TWO, FOUR))),
    ("operator add remove-peer 2 4", AddOperator(RemovePeerOp(TWO, FOUR))),
    ("operator add transfer-leader 2 4", AddOperator(TransferLeaderOp(TWO, FOUR))),
    ("operator add transfer-peer 2 1 4", AddOperator(TransferPeerOp(TWO, StoreId(1), FOUR))),
    ("operator add scatter-region 2", ScatterRegion((TWO,))),
    ("operator add split-region 2", AddOperator(SplitRegionOp(TWO))),
    ("region split 2", AddOperator(SplitRegionOp(TWO))),
    ("region split 2 --policy=approximate", AddOperator(SplitRegionOp(TWO, SplitPolicy.APPROXIMATE))),
    ("region split 2 --keys=b,hex:6300", AddOperator(SplitRegionOp(TWO, SplitPolicy.USEKEY, (b"b", b"c\x00")))),
    (
        "operator add split-region 2 --policy usekey --keys b'a,b'",
        AddOperator(SplitRegionOp(TWO, SplitPolicy.USEKEY, (b"a,b",))),
    ),
    ("operator remove 2", CancelOperator(TWO)),
    ("scheduler add balance-leader-scheduler", AddScheduler("balance-leader-scheduler")),
    ("scheduler add evict-leader-scheduler 4", AddScheduler("evict-leader-scheduler", FOUR)),
    ("scheduler remove balance-region-scheduler", RemoveScheduler("balance-region-scheduler")),
    ("scheduler remove evict-leader-scheduler-4", RemoveScheduler("evict-leader-scheduler-4")),
    ("scheduler pause all 30", PauseScheduler("all", 30)),
    ("scheduler resume balance-region-scheduler", PauseScheduler("balance-region-scheduler", 0)),
    ("config set region-schedule-limit 8", SetScheduleConfig((("region-schedule-limit", 8),))),
    ("config set low-space-ratio 0.9", SetScheduleConfig((("low-space-ratio", 0.9),))),
    ("config set max-store-down-time 10m", SetScheduleConfig((("max-store-down-time", "10m"),))),
    ("config set location-labels nan", SetScheduleConfig((("location-labels", "nan"),))),
    ("why region 2", Why(region_id=TWO)),
    ("why store 1", Why(store_id=StoreId(1))),
    ("why key b64:AP8=", Why(key=b"\x00\xff")),
    ("why key a/b?c#d%", Why(key=b"a/b?c#d%")),
]


async def test_what_each_line_orders(ctl: CtlRig) -> None:
    for line, call in ORDERS:
        ran = await ctl.done(*line.split(" "))
        asked = [item for item in ctl.fake.asked if item != ListSchedulers()]
        assert asked == [call], line
        assert ran.out.endswith("\n"), line
        ctl.fake.asked.clear()


async def test_an_evict_scheduler_gets_one_more_store(ctl: CtlRig) -> None:
    ctl.fake.answers[ListSchedulers] = (scheduler("evict-leader-scheduler", store_ids=(1,)),)
    ran = await ctl.done("scheduler", "add", "evict-leader-scheduler", "4")
    assert ran.out == "The scheduler has been applied to the store.\n"
    assert ctl.fake.asked[-1] == AddScheduler("evict-leader-scheduler", FOUR)


async def test_a_drain_is_called_off_only_if_there_is_one(ctl: CtlRig) -> None:
    ran = await ctl.run("store", "cancel-delete", "2")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "flaredb: store 2 is Up, not Offline: there is no drain to call off\n"
    await ctl.done("store", "delete", "2")
    await ctl.done("store", "cancel-delete", "2")
    assert ctl.fake.asked == [RemoveStore(StoreId(2)), CancelRemoveStore(StoreId(2))]


async def test_common_options_stand_anywhere(ctl: CtlRig) -> None:
    for line in ("-o json store", "store -o json", "store show -o json", "store -o json show"):
        assert (await ctl.done(*line.split())).out.startswith("{"), line
    port = str(ctl.pd.port)
    assert (await ctl.run("store", "-u", "127.0.0.1:1")).code == 1
    assert (await ctl.run("-u", "127.0.0.1:1", "store", "-u", f"http://127.0.0.1:{port}")).code == 0


@pytest.mark.parametrize(
    ("variable", "form"),
    [
        ("FLAREDB_PD", "127.0.0.1:{}"),
        ("FLAREDB_URL", "127.0.0.1:{}"),
        ("FLAREDB_URL", "flaredb://127.0.0.1:1,127.0.0.1:{}/?timeout=2s"),
    ],
)
async def test_pd_may_be_named_by_the_environment(
    variable: str, form: str, ctl: CtlRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    monkeypatch.setenv(variable, form.format(ctl.pd.port))
    assert (await asyncio.to_thread(run, "cluster")).code == 0


async def test_the_first_address_that_answers_is_asked(ctl: CtlRig) -> None:
    assert (await ctl.run("-u", f"127.0.0.1:1,127.0.0.1:{ctl.pd.port}", "cluster")).code == 0


WRONG = [
    ("stor", '"stor" is not known here: did you mean store?'),
    ("store delte 2", "did you mean delete?"),
    ("store four", "remove-tombstone, show, weight, or an id"),
    ("store show four", '"four" is no id: write a whole number'),
    ("store delete four", '"four" is no store: write its id, or addr HOST:PORT'),
    ("store label 1 zone", '"zone" is no label: write KEY=VALUE'),
    ("store limit 1", "write store limit, or store limit ID RATE"),
    ("store limit 1 fast", '"fast" is no rate'),
    ("store -o yaml", "'yaml' is not one of 'table', 'tsv', 'json'"),
    ("operator show slow", "'slow' is not one of 'admin', 'leader', 'region', 'waiting'"),
    ("operator add add-peer 2", "Missing argument 'STORE'"),
    ("operator add merge-region 2 3", '"merge-region" is not known here'),
    ("scheduler add evict-leader-scheduler", "is added for a store: name its id too"),
    ("region split 2 --keys=a,,b", "with one comma between two"),
    ("region split 2 --policy=usekey", "needs --keys"),
    ("region split 2 --policy=scan --keys=a", "leave out --keys"),
    ("region key hex:0", "pairs of hexadecimal digits"),
    ("-u https://pd store", "https is not offered yet"),
    ("-u ftp://pd store", "is no address of PD"),
    ("-u pd:port store", "write an address such as http://127.0.0.1:2379"),
]


@pytest.mark.parametrize(("line", "words"), WRONG)
def test_wrong_lines_are_one_line_and_code_2(line: str, words: str) -> None:
    ran = run(*line.split(" "))
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1), ran
    assert ran.err.startswith("flaredb: ")
    assert words in ran.err


def test_no_pd_is_one_line_that_names_the_address_and_the_option() -> None:
    ran = run("-u", "127.0.0.1:1,localhost:2", "store")
    assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)
    for words in ("127.0.0.1:1 (", "localhost:2 (", "--pd", "FLAREDB_URL"):
        assert words in ran.err


@pytest.mark.parametrize("line", ["", "-h", "store -h", "operator add", "why", "region split -h"])
def test_help_is_shown(line: str) -> None:
    ran = run(*line.split())
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("Usage: flaredb ctl")
