"""flaredb.testing itself: clusters come, are hurt, and go without a trace."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from flaredb.cli.waiting import wait_until
from flaredb.errors import ClientError
from flaredb.testing import Cluster, MemoryClient
from flaredb.testing.cluster import ClusterError
from flaredb.testing.memory import MemoryStore
from tests.client.leaders import known_leader, leader_of


def test_memory_clients_can_share_their_rows() -> None:
    store = MemoryStore()
    with MemoryClient(store) as one, MemoryClient(store) as other, MemoryClient() as stranger:
        one.put(b"k", b"v")
        assert (other.get(b"k"), stranger.get(b"k")) == (b"v", None)


def test_what_cannot_be() -> None:
    with pytest.raises(ValueError, match="at least one store"):
        Cluster(stores=0)
    with pytest.raises(ClusterError, match="does not run"):
        _ = Cluster().address


@pytest.mark.process
def test_a_cluster_comes_and_goes(tmp_path: Path) -> None:
    cluster = Cluster(stores=1, directory=tmp_path)
    with cluster:
        with cluster.connect() as db:
            db.put(b"k", b"v")
        assert cluster.stores == [1]
        assert leader_of(cluster, b"k") == 1
        assert cluster.url == f"flaredb://{cluster.address}"
        assert "store" in cluster.log(1)
        with pytest.raises(ValueError, match="numbered from 1 to 1"):
            cluster.kill(2)
        with pytest.raises(ClusterError, match=r"partitions=True"):
            cluster.partition(1, 1)
        assert (tmp_path / "store-1").is_dir()
    with pytest.raises(ClusterError):
        cluster.kill(1)
    with cluster.__class__(stores=1) as other:
        left = Path(other._running().directory)
    assert not left.exists()


@pytest.mark.process
def test_a_leader_that_is_cut_off_serves_nothing_and_another_takes_over() -> None:
    with Cluster(stores=3, partitions=True) as cluster, cluster.connect() as db:
        db.put(b"k", b"before", timeout=20)
        old = leader_of(cluster, b"k")
        cluster.isolate(old)
        # Until another is elected the old leader may answer reads by its lease, and a write there would be lost to it.
        assert wait_until(lambda: known_leader(cluster, b"k") not in (0, old), 30)
        # A read shows who leads now: the old leader cannot confirm itself and sends the client on.
        assert db.get(b"k", timeout=20) == b"before"
        db.put(b"k", b"after", timeout=20)
        cluster.heal()
        began = time.monotonic()
        while time.monotonic() < began + 1:
            assert db.get(b"k", timeout=20) == b"after"


@pytest.mark.process
def test_heal_brings_everything_back() -> None:
    with Cluster(stores=3) as cluster, cluster.connect() as db:
        db.put(b"k", b"v", timeout=20)
        cluster.pause(1)
        cluster.kill(2)
        cluster.kill_pd()
        with pytest.raises(ClientError):
            db.put(b"k", b"w", timeout=1.0)
        cluster.heal()
        db.put(b"k", b"x", timeout=20)
        assert db.get(b"k", timeout=20) == b"x"
