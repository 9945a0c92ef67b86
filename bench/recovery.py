"""How long nobody can write when the leader's process is killed (SIGKILL): FlareDB's store, etcd's member.

A writer begins at the kill and tries until a write is acknowledged. The killed process is started again before the next
round, and is waited for until it has caught up.
"""

from __future__ import annotations

import base64
import json
import time
import urllib.request
from collections.abc import Callable

from bench.demo import await_true, pause
from bench.etcd_cluster import EtcdCluster
from bench.flare_cluster import FlareCluster

import flaredb
from flaredb.errors import FlareDBError

GIVE_UP_SECONDS = 30.0
TRY_SECONDS = 0.25
CALM_SECONDS = 1.5


def flare_recovery_s(cluster: FlareCluster, db: flaredb.Client) -> float:
    """Seconds until a key of a region led by the killed store can be written again, by FlareDB's own client."""
    route = cluster.routes()[-1]
    key = route.start_key + b"recovery"
    (store,) = (store for store in cluster.stores if store.ports.address == route.address)
    db.put(key, b"before")

    def is_written() -> bool:
        try:
            db.put(key, b"after", timeout=GIVE_UP_SECONDS)
        except FlareDBError:  # undetermined: the answer went with the process
            return False
        return True

    store.child.kill()
    took = _until(is_written)
    store.child.start()
    cluster.local.learn_store(store)
    pause(CALM_SECONDS)
    return took


def etcd_recovery_s(cluster: EtcdCluster) -> float:
    """Seconds until a write by one of the two members that are left is acknowledged."""
    leader = cluster.leader()
    assert leader is not None
    others = [address for index, address in enumerate(cluster.addresses) if index != leader]
    turn = 0

    def is_written() -> bool:
        nonlocal turn
        turn += 1
        return _put(others[turn % 2])

    cluster.members[leader].kill()
    took = _until(is_written)
    cluster.members[leader].start()
    await_true(lambda: _put(cluster.addresses[leader]), GIVE_UP_SECONDS, "the killed member takes writes")
    pause(CALM_SECONDS)
    return took


def _until(is_written: Callable[[], bool]) -> float:
    began = time.monotonic()
    while not is_written():
        if time.monotonic() - began > GIVE_UP_SECONDS:
            raise SystemExit(f"no write is taken {GIVE_UP_SECONDS:g} s after the leader was killed")
        pause(0.005)
    return time.monotonic() - began


def _put(address: str) -> bool:
    text = {name: base64.b64encode(name.encode()).decode() for name in ("key", "value")}
    request = urllib.request.Request(f"http://{address}/v3/kv/put", data=json.dumps(text).encode())
    try:
        with urllib.request.urlopen(request, timeout=TRY_SECONDS):
            return True
    except OSError:
        return False
