"""A real PD over HTTP, whose scheduling is a fake."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from flaredb.model.region import Region
from flaredb.wire.convert import store_to_pb
from tests.pd.helpers import region, store
from tests.rim.pd_rig import PdRig, running_pd
from tests.rim.scheduling_fake import FakeScheduling
from tests.rim.test_pd_front import exchange

REGIONS: list[Region] = [
    region(5, b"m", b"", version=2, stores=(1, 2)),
    region(2, b"", b"m", version=2, stores=(1,)),
]


class OrderRig:
    """A PD with two stores and two regions, whose scheduling is a fake."""

    def __init__(self, pd: PdRig, fake: FakeScheduling) -> None:
        self.pd = pd
        self.fake = fake

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status, and the body: decoded from JSON on success, as text otherwise."""
        text = body if isinstance(body, str) else json.dumps(body) if body is not None else ""
        head = f"{method} /pd/api/v1{path} HTTP/1.1\r\nHost: pd\r\nConnection: close\r\n"
        head += f"Content-Length: {len(text.encode())}\r\n\r\n"
        answer = await exchange(self.pd.port, head.encode() + text.encode())
        head_bytes, _, rest = answer.partition(b"\r\n\r\n")
        status = int(head_bytes.split()[1])
        return status, json.loads(rest) if status == 200 else rest.decode().rstrip("\n")

    async def get(self, path: str) -> Any:
        status, body = await self.ask("GET", path)
        assert status == 200, body
        return body


@asynccontextmanager
async def running_rig(directory: Path) -> AsyncIterator[OrderRig]:
    """Two stores and two regions."""
    async with running_pd(directory) as pd:
        await pd.bootstrap()
        await pd.call("PutStore", store=store_to_pb(store(2)))
        for item in REGIONS:
            await pd.report(item)
        fake = FakeScheduling()
        pd.node.loop.call = fake.in_front_of(pd.node.loop.call)  # type: ignore[method-assign]
        yield OrderRig(pd, fake)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[OrderRig]:
    """A running rig."""
    async with running_rig(tmp_path) as running:
        yield running
