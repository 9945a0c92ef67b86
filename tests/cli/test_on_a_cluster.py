"""The command line as processes, on a cluster of processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flaredb.testing import Cluster
from tests.integration.cluster import CALM

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(stores=3, split_keys=["row/5"], config=CALM) as running:
        yield running


def flaredb(cluster: Cluster, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"FLAREDB_URL": cluster.url}
    return subprocess.run(
        [sys.executable, "-m", "flaredb", *arguments],
        capture_output=True,
        text=True,
        env=environment,
        input=stdin,
        timeout=60,
    )


def done(cluster: Cluster, *arguments: str, stdin: str = "") -> str:
    ran = flaredb(cluster, *arguments, stdin=stdin)
    assert (ran.returncode, ran.stderr) == (0, ""), ran
    return ran.stdout


def test_data_goes_in_and_out_over_regions(cluster: Cluster, tmp_path: Path) -> None:
    rows = "".join(f"row/{number:04d},value {number}\n" for number in range(10_000))
    assert done(cluster, "kv", "import", "-", "--format", "csv", stdin=rows).startswith("imported 10,000 pairs in ")
    assert done(cluster, "kv", "get", "row/4999") == "value 4999\n"
    assert flaredb(cluster, "kv", "get", "row/x").returncode == 3
    assert done(cluster, "kv", "count", "--prefix", "row/") == "10000\n"
    scanned = done(cluster, "kv", "scan", "--prefix", "row/499", "--reverse", "-o", "jsonl").splitlines()
    assert [json.loads(line)["key"] for line in scanned][:2] == ["row/4999", "row/4998"]
    file = tmp_path / "out.csv"
    done(cluster, "kv", "export", str(file))
    assert file.read_text() == "key,value\n" + rows
    assert done(cluster, "kv", "cas", "row/0000", "value 0", "hex:00") == "OK\n"
    assert done(cluster, "kv", "delete", "--prefix", "row/", "--yes") == "OK\n"
    assert done(cluster, "kv", "count") == "0\n"


def test_a_shell_tells_of_the_cluster(cluster: Cluster) -> None:
    lines = "put user/1 Ada\nget user/1\nwhere row/1\nregions\nstores\ndelete user/1\n"
    ran = done(cluster, "shell", "--stop-on-error", stdin=lines).splitlines()
    assert ran[:2] == ["OK", "Ada"]
    facts = dict(line.split("\t", 1) for line in ran[2:7])
    assert facts["region"].endswith("[-inf, b'row/5')")
    assert facts["leader"].startswith("store ")
    assert ran[7] == "region\tfrom_key\tto_key\tleader\tstores\tepoch"
    assert len([line for line in ran if "\tUp\t" in line]) == 3


def test_whoever_stops_reading_ends_a_scan(cluster: Cluster) -> None:
    rows = "".join(f"wide/{number:05d},{'x' * 1_000}\n" for number in range(2_000))
    done(cluster, "kv", "import", "-", "--format", "csv", stdin=rows)
    line = f"{sys.executable} -m flaredb kv scan | head -1; echo ${{PIPESTATUS[0]}}"
    ran = subprocess.run(
        ["bash", "-c", line],
        capture_output=True,
        text=True,
        env=os.environ | {"FLAREDB_URL": cluster.url},
        timeout=60,
    )
    assert (ran.stdout, ran.stderr) == ("key\tvalue\n141\n", "")
    done(cluster, "kv", "delete", "--prefix", "wide/", "--yes")
