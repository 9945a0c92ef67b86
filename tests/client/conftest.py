"""The cluster that the client's tests share, and event loops."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from flaredb.testing import Cluster
from tests.integration.cluster import CALM


@pytest.fixture(scope="package")
def shared_cluster() -> Iterator[Cluster]:
    """Three stores, two regions, leaders that stay while a store stands still for seconds; tests leave it whole."""
    with Cluster(stores=3, split_keys=("L",), config=CALM) as cluster:
        yield cluster


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop for the time of a test."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()
