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
from collections.abc import Iterator
from typing import Any

import pytest

from flaredb.cli.main import main
from flaredb.cli.waiting import wait_until
from flaredb.testing import Cluster

DEADLINE_S = 40.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(stores=3, split_keys=("m",)) as running:
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


def test_load_shows_in_top(cluster: Cluster) -> None:
    short = ("--seconds", "0.5", "--warm-up", "0")
    code, result = told(cluster, "bench", "mixed", *short, "--keys", "500", "--concurrency", "8")
    assert code == 0, result
    assert result["errors"] == {}
    assert {"get", "put", "all"} == set(result["calls"])
    assert result["calls"]["all"]["done"] > 0
    code, view = told(cluster, "top", "--once", "--interval", "0.3")
    assert [store["rates"] is not None for store in view["stores"]] == [True] * 3
    assert len(view["region_list"]) == 2
    code, result = told(cluster, "bench", "put", "--rate", "50", *short, "--cleanup")
    assert (code, result["load"]["loop"], result["unsent"]) == (0, "open", 0)
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
    healthy = wait_until(lambda: told(cluster, "status")[0] == 0, DEADLINE_S)
    _, answer = told(cluster, "status")
    assert healthy, answer
    assert answer["sentence"] == "Healthy: 3 stores, 2 regions with 3 replicas each."
    assert answer["survives"]["store_failures"] == 1
    assert all(store["answers"] for store in answer["stores"])


def test_doctor_of_a_whole_cluster(cluster: Cluster) -> None:
    _, answer = told(cluster, "doctor")
    assert {item["severity"] for item in answer["findings"] if item["check"] in ("pd", "reach", "clock")} == {"ok"}


def test_a_store_that_was_killed_is_told_at_once(cluster: Cluster) -> None:
    cluster.kill(3)
    gone = cluster.store_id(3)
    code, answer = told(cluster, "status")
    assert code == 1, "two replicas of three go on serving"
    assert answer["sentence"].startswith(f"Degraded: store {gone} does not answer")
    assert answer["survives"]["store_failures"] == 0
    assert [store["id"] for store in answer["stores"] if not store["serves"]] == [gone]
    _, view = told(cluster, "top", "--once", "--interval", "0.3")
    assert [store["id"] for store in view["stores"] if store["rates"] is None] == [gone]
    code, out, _ = run(cluster, "top", "--once", "--interval", "0.3", "-o", "table")
    assert code == 1
    assert "no answer" in out
    _, why = told(cluster, "ctl", "why", "store", str(gone))
    assert why["not_answering"] == [gone]
    assert why["why"].startswith(f"Store {gone} is up"), "PD has not missed it yet"
    code, out, _ = run(cluster, "ctl", "why", "key", "a")
    assert out.endswith(f" But store {gone} does not answer right now.\n")
    code, answer = told(cluster, "doctor")
    (problem,) = [item for item in answer["findings"] if item["severity"] == "problem"]
    assert code == 2
    assert problem["finding"].startswith(f"store {gone} cannot be reached at 127.0.0.1")


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
