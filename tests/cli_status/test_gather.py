"""From PD's pages to facts; and the command against a PD in this process."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from flaredb.cli.ctl.http import Pd, PdRefused
from flaredb.cli.main import main
from flaredb.cli.ports import PortPicker
from flaredb.cli.status.facts import Move, Reach, RegionFacts
from flaredb.cli.status.gather import ended_ages, gather, reaches, region_of, status_addresses, store_of
from flaredb.cli.store_pages import Page, ask_store, ask_stores, is_own_host
from tests.rim.order_rig import OrderRig, running_rig
from tests.rim.pd_rig import running_pd

NOW_S = 1_700_000_000.0
MOVE = (
    "balance-region {mv peer: store [1] to [4]} (kind:region, region:2(5, 3), createAt:2023-11-14 22:13:20.000 +0000 "
    "UTC, startAt:2023-11-14 22:13:20.010 +0000 UTC, currentStep:1, size:32, steps:[0:{add learner peer 9 on store 4}, "
    "1:{promote learner peer 9 on store 4 to voter}], timeout:[600s, 600s])"
)


def ended(kind: str, at: str, outcome: str) -> str:
    return MOVE.replace("kind:region", f"kind:{kind}") + f" (finishAt:{at} +0000 UTC, duration:2.5s, {outcome})"


class CannedPd(Pd):
    """Answers from a table."""

    def __init__(self, pages: dict[str, Any]) -> None:
        super().__init__("127.0.0.1:2379")
        self.pages = pages

    def now_s(self) -> float:
        return NOW_S

    def get(self, path: str) -> Any:
        name = path.partition("?")[0]
        if name not in self.pages:
            raise PdRefused(404, f"this PD does not offer {name}")
        return self.pages[name]


def a_store(store_id: int, status_address: str = "", **more: Any) -> dict[str, Any]:
    meta = {"id": store_id, "address": f"h{store_id}:20160", "state_name": "Up", "status_address": status_address}
    heard = {"last_heartbeat": int((NOW_S - 7) * 1e9)}
    return {"store": {**meta, **heard, **more}, "status": {"capacity": "931.5GiB", "available": "93.15GiB"}}


def test_facts_of_a_cluster() -> None:
    facts = gather(
        CannedPd(
            {
                "/stores": {"stores": [a_store(4, version="6.5.0"), a_store(1)]},
                "/regions": {"regions": [{"id": 2, "peers": [{"id": 9, "store_id": 4, "role_name": "Voter"}]}]},
                "/operators": [MOVE, "what cannot be read"],
                "/operators/records": [ended("replica,region", "2023-11-14 22:13:08", "SUCCESS")],
                "/config/schedule": {"max-store-down-time": "1h30m", "halt-scheduling": "true"},
                "/config/replicate": {"max-replicas": 5},
                "/cluster/status": {"is_initialized": True},
            }
        )
    )
    assert [store.id for store in facts.stores] == [1, 4]
    assert facts.stores[1].silent_s == pytest.approx(7.0)
    assert facts.stores[1].capacity_bytes == pytest.approx(931.5 * 1024**3)
    assert facts.regions == (RegionFacts(2, (4,)),)
    assert facts.moves == (
        Move(
            2,
            "balance-region",
            "mv peer: store [1] to [4]",
            1,
            2,
            "promote learner peer 9 on store 4 to voter",
            "region",
        ),
    )
    assert facts.ended_s_ago == (12.0,)
    assert (facts.replicas_wanted, facts.replace_after_s, facts.halted) == (5, 5400.0, True)


ENDED = [
    ("a replica was made anew", ended("replica,region", "2023-11-14 22:13:19", "SUCCESS"), [1.0]),
    ("a region was moved for balance", ended("region", "2023-11-14 22:13:10", "SUCCESS"), [10.0]),
    ("a leader moved: no data did", ended("leader", "2023-11-14 22:13:10", "SUCCESS"), []),
    ("a region was split", ended("admin,split", "2023-11-14 22:13:10", "SUCCESS"), []),
    ("a move that failed", ended("region", "2023-11-14 22:13:10", "TIMEOUT: no order was obeyed"), []),
    ("another PD's line without an outcome", ended("region", "2023-11-14 22:13:10", "").replace(", )", ")"), [10.0]),
    ("nothing that one can read", "what is this", []),
]


@pytest.mark.parametrize(("case", "line", "ages"), ENDED, ids=[row[0] for row in ENDED])
def test_moves_that_ended_well(case: str, line: str, ages: list[float]) -> None:
    assert list(ended_ages([line], NOW_S)) == ages


def peer(store_id: int, role: str = "Voter") -> dict[str, Any]:
    return {"id": store_id * 10, "store_id": store_id, "role_name": role}


REGIONS = [
    ("at rest", [peer(1), peer(2), peer(3)], RegionFacts(7, (1, 2, 3))),
    ("with a learner", [peer(1), peer(4, "Learner")], RegionFacts(7, (1,), learners=(4,))),
    (
        "between two sets of members",
        [peer(1), peer(2), peer(3, "DemotingVoter"), peer(4, "IncomingVoter")],
        RegionFacts(7, (1, 2, 4), voters_before=(1, 2, 3)),
    ),
]


@pytest.mark.parametrize(("case", "peers", "facts"), REGIONS, ids=[row[0] for row in REGIONS])
def test_members_of_a_region(case: str, peers: list[dict[str, Any]], facts: RegionFacts) -> None:
    assert region_of({"id": 7, "peers": peers}) == facts


def test_trouble_of_a_region() -> None:
    found = region_of(
        {
            "id": 7,
            "peers": [peer(1), peer(2)],
            "leader": peer(1),
            "down_peers": [{"down_seconds": 9, "peer": peer(2)}],
            "pending_peers": [peer(2)],
        }
    )
    assert (found.leader, found.down, found.pending) == (1, frozenset({2}), frozenset({2}))


def test_store_that_was_never_heard() -> None:
    item = a_store(1)
    item["store"]["last_heartbeat"] = 0
    assert store_of(item, {}, NOW_S).silent_s > 1e8


YES, NO, SILENT = Page("ok", answered=True), Page(refused=True), Page(why="no answer within 2.5 s")
PROOFS: list[tuple[str, dict[int, Page], tuple[str, ...], Reach]] = [
    ("it answers", {1: YES}, ("pd",), Reach.ANSWERS),
    ("nobody listens, while another store answers", {1: NO, 2: YES}, ("pd",), Reach.GONE),
    ("nobody listens, on PD's own host", {1: NO}, ("h1",), Reach.GONE),
    ("nobody listens anywhere: this may be the wrong place to look from", {1: NO, 2: NO}, ("pd",), Reach.UNKNOWN),
    ("it is silent: a network may be between", {1: SILENT, 2: YES}, ("h1",), Reach.UNKNOWN),
    ("it was not asked", {2: YES}, ("pd",), Reach.UNKNOWN),
]


@pytest.mark.parametrize(("case", "pages", "pd_hosts", "reach"), PROOFS, ids=[row[0] for row in PROOFS])
def test_what_silence_proves(case: str, pages: dict[int, Page], pd_hosts: tuple[str, ...], reach: Reach) -> None:
    assert reaches([a_store(1, "h1:20180"), a_store(2, "h2:20180")], pages, pd_hosts)[1] == reach


def test_loopback_addresses_are_asked_on_that_machine_only() -> None:
    listed = [a_store(1, "127.0.0.1:20180"), a_store(2, "h2:20180"), a_store(3)]
    assert status_addresses(listed, ("10.0.0.1",)) == {2: "h2:20180"}
    assert status_addresses(listed, ("localhost",)) == {1: "127.0.0.1:20180", 2: "h2:20180"}


class StorePages(BaseHTTPRequestHandler):
    """Answers /together once two ask for it."""

    both = threading.Barrier(2, timeout=30)

    def do_GET(self) -> None:
        if self.path == "/together":
            self.both.wait()
        self.send_response(200 if self.path in ("/status", "/together") else 404)
        self.end_headers()
        self.wfile.write(b"fine")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def store_address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), StorePages)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_stores_are_asked_side_by_side(store_address: str) -> None:
    pages = ask_stores({1: store_address, 2: store_address}, "/together", timeout_s=30)
    assert [(pages[number].text, pages[number].answered) for number in (1, 2)] == [("fine", True)] * 2
    assert min(pages[1].at_s, pages[2].at_s) > 0
    assert ask_stores({}, "/status") == {}


def test_stores_that_do_not_answer() -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        silent = f"127.0.0.1:{mute.getsockname()[1]}"
        gone = f"127.0.0.1:{PortPicker().pick()}"
        pages = ask_stores({2: gone, 3: silent}, "/status", timeout_s=0.2)
    assert (pages[2].refused, pages[3].refused) == (True, False)
    assert pages[3].why == "no answer within 0.2 s"


def test_other_answers_are_none(store_address: str) -> None:
    assert ask_store(store_address, "/ready", timeout_s=30).why == "answers 404 to /ready"
    assert ask_store("nonsense", "/ready").why == '"nonsense" is no address'


def test_own_host() -> None:
    assert is_own_host("127.0.0.1")
    assert is_own_host("localhost")
    assert not is_own_host("192.0.2.1")
    assert not is_own_host("no-such-host.invalid")


# ---------------------------------------------------------------- the command


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[OrderRig]:
    async with running_rig(tmp_path) as running:
        yield running


def run(*arguments: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main(["status", *arguments])
    assert isinstance(ended.value.code, int)
    return ended.value.code, out.getvalue(), err.getvalue()


async def test_command_against_pd(rig: OrderRig) -> None:
    at = ("-u", f"127.0.0.1:{rig.pd.port}")
    code, out, err = await asyncio.to_thread(run, *at, "-o", "json")
    answer = json.loads(out)
    assert (code, err, answer["verdict"]) == (1, "", "degraded")
    assert answer["survives"]["store_failures"] == 0
    assert answer["regions"]["all"] == 2
    code, out, _ = await asyncio.to_thread(run, *at, "-o", "table")
    assert out.startswith(answer["sentence"] + "\n")
    assert "\nstore  address" in out
    code, out, _ = await asyncio.to_thread(run, *at)
    assert out.splitlines()[:2] == ["verdict\tdegraded", f"sentence\t{answer['sentence']}"]


async def test_a_cluster_before_its_first_store(tmp_path: Path) -> None:
    async with running_pd(tmp_path) as pd:
        code, out, err = await asyncio.to_thread(run, "-u", f"127.0.0.1:{pd.port}", "-o", "table")
    assert (code, err) == (2, "")
    assert out.startswith("Unavailable: the cluster has no regions yet; it waits for its first stores.\n")


def test_pd_that_does_not_answer() -> None:
    code, out, err = run("-u", f"127.0.0.1:{PortPicker().pick()}", "-o", "table")
    assert (code, err) == (2, "")
    assert out.startswith("Unknown: PD does not answer at 127.0.0.1:")


def test_watching_in_a_pipe_tells_changes_only(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[float] = []

    def pause(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("flaredb.cli.waiting.pause", pause)
    code, out, _ = run("-u", f"127.0.0.1:{PortPicker().pick()}", "--watch")
    assert (code, len(looks)) == (130, 3)
    (line,) = out.splitlines()
    assert line.partition("\t")[2].startswith("Unknown: PD does not answer")


def test_wrong_use_is_told_before_anybody_is_asked() -> None:
    code, out, err = run("-u", "https://pd")
    assert (code, out) == (2, "")
    assert "https is not offered yet" in err
