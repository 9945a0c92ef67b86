"""pytest fixtures, found by themselves where FlareDB is installed.

``flaredb_cluster``: one cluster of three stores for the whole test run, started when first asked for, mended before
each use. ``flaredb_client``: a synchronous client of it, on an empty key space.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from flaredb.faces.sync_client import Client
    from flaredb.testing.cluster import Cluster


@pytest.fixture(scope="session")
def flaredb_session_cluster() -> Iterator[Cluster]:
    """One cluster of three stores for the test run; tests use ``flaredb_cluster``."""
    from flaredb.testing.cluster import Cluster

    with Cluster(stores=3) as cluster:
        yield cluster


@pytest.fixture
def flaredb_cluster(flaredb_session_cluster: Cluster) -> Cluster:
    """A running cluster of three stores: kill, restart, pause and resume them as you like. Data stays between tests."""
    flaredb_session_cluster.heal()
    return flaredb_session_cluster


@pytest.fixture
def flaredb_client(flaredb_cluster: Cluster) -> Iterator[Client]:
    """A synchronous client of ``flaredb_cluster``; all keys are removed first."""
    with flaredb_cluster.connect() as client:
        for cf in ("default", "lock", "write"):
            client.delete_range(b"", cf=cf, idempotent=True, timeout=30)
        yield client
