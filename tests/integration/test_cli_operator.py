"""The operator's commands on a cluster of real processes: whole, and with a store less."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from flaredb.cli.ctl.http import Pd
from flaredb.cli.main import main
from flaredb.cli.waiting import wait_until
from flaredb.testing import Cluster
from tests.integration.cluster import CALM

DEADLINE_S = 60.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(stores=3, split_keys=("m",), config=CALM) as running:
        # Otherwise PD itself says 10 s after a kill that the store is down.
        Pd(running.address).post("/config", {"max-store-down-time": "10m"})
        yield running


def run(cluster: Cluster, *arguments: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main([*arguments, "--pd", cluster.address])
    assert isinstance(ended.value.code, int)
    return ended.value.code, out.getvalue(), err.getvalue()


def told(cluster: Cluster, *arguments: str) -> tuple[int, dict[str, Any]]:
    code, out, _ = run(cluster, *arguments, "-o", "json")
    answer: dict[str, Any] = json.loads(out)
    return code, answer


def told_at_last(
    cluster: Cluster, is_right: Callable[[int, dict[str, Any]], bool], *arguments: str
) -> tuple[int, dict[str, Any]]:
    """The same, asked again until it is right: who stands still on a busy machine does not answer in time."""
    seen: list[tuple[int, dict[str, Any]]] = []

    def ask() -> bool:
        seen[:] = [told(cluster, *arguments)]
        return is_right(*seen[0])

    assert wait_until(ask, DEADLINE_S), seen
    return seen[0]


def without_rates(view: dict[str, Any]) -> list[int]:
    return [store["id"] for store in view["stores"] if store["rates"] is None]


def test_load_shows_in_top(cluster: Cluster) -> None:
    short = ("--seconds", "0.5", "--warm-up", "0")
    code, result = told(cluster, "bench", "mixed", *short, "--keys", "500", "--concurrency", "8")
    assert code == 0, result
    assert result["errors"] == {}
    assert {"get", "put", "all"} == set(result["calls"])
    assert result["calls"]["all"]["done"] > 0
    _, view = told_at_last(cluster, lambda _, view: not without_rates(view), "top", "--once", "--interval", "0.3")
    assert len(view["stores"]) == 3
    assert len(view["region_list"]) == 2
    open_loop = ("bench", "put", "--rate", "50", *short, "--cleanup")
    # A machine that stands still for half a second begins none of its calls.
    code, result = told_at_last(cluster, lambda _, result: result["unsent"] == 0, *open_loop)
    assert (code, result["load"]["loop"]) == (0, "open")
    assert told(cluster, "bench", "clean") == (0, {"deleted": 0, "prefix": "flaredb-bench/default/"})


def test_top_on_a_terminal_draws_sorts_and_ends(cluster: Cluster) -> None:
    ours, theirs = pty.openpty()
    argv = [sys.executable, "-m", "flaredb", "top", "--interval", "0.3", "--pd", cluster.address]
    size = {"COLUMNS": "120", "LINES": "30", "TERM": "xterm"}
    process = subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs, env=os.environ | size)
    os.close(theirs)
    seen = bytearray()

    def shows(word: bytes) -> bool:
        if select.select([ours], [], [], 0)[0]:
            with contextlib.suppress(OSError):
                seen.extend(os.read(ours, 65_536))
        return word in seen

    try:
        assert wait_until(lambda: shows(b"sorts stores (by id)"), DEADLINE_S), seen
        os.write(ours, b"\x1b[A")
        os.write(ours, b"s")
        assert wait_until(lambda: shows(b"sorts stores (by reads)"), DEADLINE_S), seen
        os.write(ours, b"q")
        assert wait_until(lambda: shows(b"\x1b[?1049l") or process.poll() is not None, DEADLINE_S), (
            "the screen is given back"
        )
        assert process.wait(DEADLINE_S) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_status_of_a_whole_cluster(cluster: Cluster) -> None:
    _, answer = told_at_last(
        cluster, lambda code, answer: code == 0 and all(store["answers"] for store in answer["stores"]), "status"
    )
    assert answer["sentence"] == "Healthy: 3 stores, 2 regions with 3 replicas each."
    assert answer["survives"]["store_failures"] == 1


def test_doctor_of_a_whole_cluster(cluster: Cluster) -> None:
    def is_well(_: int, answer: dict[str, Any]) -> bool:
        looked_at = [item for item in answer["findings"] if item["check"] in ("pd", "reach", "clock")]
        return {item["severity"] for item in looked_at} == {"ok"}

    told_at_last(cluster, is_well, "doctor")


def test_a_store_that_was_killed_is_told_at_once(cluster: Cluster) -> None:
    cluster.kill(3)
    gone = cluster.store_id(3)
    code, answer = told(cluster, "status")
    assert code == 1, "two replicas of three go on serving"
    assert answer["sentence"].startswith(f"Degraded: store {gone} does not answer")
    assert answer["survives"]["store_failures"] == 0
    assert [store["id"] for store in answer["stores"] if not store["serves"]] == [gone]
    about_it = ("ctl", "why", "store", str(gone))
    _, why = told_at_last(cluster, lambda _, why: why["not_answering"] == [gone], *about_it)
    assert why["why"].startswith(f"Store {gone} is up"), "PD has not missed it yet"
    told_at_last(cluster, lambda _, view: without_rates(view) == [gone], "top", "--once", "--interval", "0.3")
    code, out, _ = run(cluster, "top", "--once", "--interval", "0.3", "-o", "table")
    assert code == 1
    assert "no answer" in out
    silent = f" But store {gone} does not answer right now.\n"
    assert wait_until(lambda: run(cluster, "ctl", "why", "key", "a")[1].endswith(silent), DEADLINE_S)

    def is_told_alone(_: int, answer: dict[str, Any]) -> bool:
        problems = [item["finding"] for item in answer["findings"] if item["severity"] == "problem"]
        return len(problems) == 1 and problems[0].startswith(f"store {gone} cannot be reached at 127.0.0.1")

    code, _ = told_at_last(cluster, is_told_alone, "doctor")
    assert code == 2


def test_without_a_majority_it_is_unavailable(cluster: Cluster) -> None:
    cluster.kill(3)
    cluster.kill(2)
    code, answer = told(cluster, "status")
    assert code == 2
    assert answer["sentence"].startswith("Unavailable for 2 of 2 regions: stores ")
    cluster.heal()
    assert wait_until(lambda: told(cluster, "status")[0] == 0, DEADLINE_S)


def test_without_pd_top_and_status_say_so(cluster: Cluster) -> None:
    cluster.kill_pd()
    code, answer = told(cluster, "status")
    assert (code, answer["verdict"]) == (2, "unavailable")
    assert answer["sentence"].startswith("Unknown: PD does not answer at ")
    code, out, _ = run(cluster, "top", "--once", "-o", "table")
    assert code == 2
    assert out.startswith("Unknown: PD does not answer at ")
    cluster.heal()
