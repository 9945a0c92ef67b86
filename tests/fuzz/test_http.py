"""HTTP paths and bodies that no honest client sends, to the status port and PD's API of real processes."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from random import Random
from urllib.parse import quote

import pytest

from flaredb.cli.official_client import connected
from flaredb.cli.ports import HOST
from tests.integration.cluster import Cluster

pytestmark = pytest.mark.process
REQUESTS = 400
ANSWER_DEADLINE_S = 30
PD_PATHS = (
    "health", "members", "version", "status", "stores", "store/{}", "store/{}/state?state={}", "store/{}/label",
    "store/{}/weight", "store/{}/limit", "region/id/{}", "region/key/{}", "regions", "regions/key?key={}&limit={}",
    "regions/store/{}", "regions/check/{}", "operators", "operators/{}", "schedulers", "schedulers/{}", "config",
    "config/schedule", "config/replicate", "hotspot/regions/write", "stats/region?start_key={}&end_key={}", "why/{}",
)  # fmt: skip
STATUS_PATHS = ("status", "metrics", "config", "region/{}", "regions", "debug/{}", "{}")
WORDS = (
    "0", "1", "2", "-1", "18446744073709551615", "18446744073709551616", "99999999999999999999999", "1e9", "NaN", "x",
    "", "é", "%00", "../../etc/passwd", "a" * 3_000, "balance-leader-scheduler", "null", "\ud7ff", "Offline", "write",
)  # fmt: skip
NAMES = ("name", "store_id", "region_id", "to_store_id", "peer_ids", "keys", "policy", "leader", "type", "rate", "x")
VALUES = (None, True, 0, 1, -1, 2**64, 1e308, "", "x", "add-peer", "split-region", [], [1], {}, {"a": [None]})


def body(rng: Random) -> bytes | None:
    """No body, one of JSON of any shape, or no JSON at all."""
    draw = rng.random()
    if draw < 0.2:
        return None
    if draw < 0.3:
        return rng.randbytes(rng.choice((0, 5, 2_000)))
    if draw < 0.4:
        return b"[" * 5_000
    return json.dumps({rng.choice(NAMES): rng.choice(VALUES) for _ in range(rng.choice((0, 1, 3)))}).encode()


def test_http_of_any_content(tmp_path: Path) -> None:
    """Each request gets one answer, which is no 500; afterwards the cluster serves what it held before."""
    rng = Random(1)
    with Cluster(tmp_path, stores=1) as cluster:
        with connected(cluster.pd_address) as client:
            client.put(b"kept", b"v")
        pd_port = int(cluster.pd_address.rpartition(":")[2])
        surprising = []
        for number in range(REQUESTS):
            is_pd = number % 4 != 0
            path = rng.choice(PD_PATHS if is_pd else STATUS_PATHS)
            while "{}" in path:
                path = path.replace("{}", quote(rng.choice(WORDS), safe="%"), 1)
            path = f"/pd/api/v1/{path}" if is_pd else f"/{path}"
            method = rng.choice(("GET", "GET", "POST", "DELETE", "PUT"))
            port = pd_port if is_pd else cluster.store(1).ports.status
            connection = http.client.HTTPConnection(HOST, port, timeout=ANSWER_DEADLINE_S)
            try:
                connection.request(method, path, body(rng))
                answer = connection.getresponse()
                answer.read()
                if answer.status == 500:
                    surprising.append((method, path))
            finally:
                connection.close()
        assert not surprising
        assert "Traceback" not in cluster.log(1)
        with connected(cluster.pd_address) as client:
            assert client.get(b"kept") == b"v"
