"""One suite, four clients: synchronous and asyncio, in memory and against a real cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from flaredb.testing import AsyncMemoryClient, Cluster, MemoryClient
from tests.client.as_sync import AsSync
from tests.client.behaviour import Behaviour


def emptied(db: Any) -> Any:
    for cf in ("default", "lock", "write"):
        db.delete_range(b"", cf=cf, timeout=30)
    return db


class TestMemory(Behaviour):
    """MemoryClient."""

    @pytest.fixture
    def db(self) -> Iterator[Any]:
        with MemoryClient() as db:
            yield db


class TestMemoryAio(Behaviour):
    """AsyncMemoryClient."""

    @pytest.fixture
    def db(self, loop: asyncio.AbstractEventLoop) -> Any:
        return AsSync(AsyncMemoryClient(), loop)


@pytest.mark.process
class TestCluster(Behaviour):
    """flaredb.Client."""

    @pytest.fixture
    def db(self, shared_cluster: Cluster) -> Iterator[Any]:
        with shared_cluster.connect() as db:
            yield emptied(db)


@pytest.mark.process
class TestClusterAio(Behaviour):
    """flaredb.aio.Client."""

    @pytest.fixture
    def db(self, shared_cluster: Cluster, loop: asyncio.AbstractEventLoop) -> Iterator[Any]:
        client = shared_cluster.aio_connect()
        yield emptied(AsSync(client, loop))
        loop.run_until_complete(client.close())
