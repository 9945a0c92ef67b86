"""Who leads, asked of PD until it answers: it may stand still for a while, or not have heard of a leader yet."""

from __future__ import annotations

from flaredb.cli.probe import ProbeFailed
from flaredb.cli.waiting import wait_until
from flaredb.testing import Cluster

PATIENCE_S = 30.0


def known_leader(cluster: Cluster, key: bytes) -> int:
    """Number of the store that leads the key's region; 0 if PD does not say."""
    try:
        return cluster.leader(key)
    except ProbeFailed:
        return 0


def leader_of(cluster: Cluster, key: bytes) -> int:
    """The same, as soon as PD says who it is."""
    found = 0

    def is_known() -> bool:
        nonlocal found
        found = known_leader(cluster, key)
        return found > 0

    assert wait_until(is_known, PATIENCE_S), f"PD knows no leader of {key!r}"
    return found
