"""A store that is told to stop hands its leaders over, so that clients notice almost nothing."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.integration.cluster import Cluster
from tests.integration.moves import settled

pytestmark = pytest.mark.process


def test_leaders_move_before_the_process_ends(tmp_path: Path) -> None:
    with Cluster(tmp_path, stores=3, split_keys=["g", "p"]) as cluster:
        client = settled(cluster).client()
        for number in range(30):
            client.put(b"%c-%d" % (97 + number % 26, number), b"before")
        number = cluster.leader_number(b"h")
        assert number
        began_s = time.monotonic()
        store = cluster.store(number)
        store.child.send(signal.SIGTERM)
        Cluster.wait_for(lambda: not store.child.is_running(), 40)
        took_s = time.monotonic() - began_s
        assert store.child.exit_code == 0
        print(f"\n  handed over and stopped in {took_s:.2f} s")
        assert took_s < 15, "it waits for 20 s for leaders that stay"
        log = cluster.log(number)
        assert "handing leaders to other stores" in log
        assert "could not be handed over" not in log
        Cluster.wait_for(lambda: cluster.leader_number(b"h") not in (0, number))
        assert client.get(b"h-7") == b"before"
