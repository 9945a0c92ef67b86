"""A real PD on a free port, and a channel to it."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import grpc

from flaredb.model.region import Region
from flaredb.server.pd_node import PdNode
from flaredb.server.settings import load_pd_settings
from flaredb.wire.convert import peer_to_pb, region_to_pb, store_to_pb
from flaredb.wire.pb import pdpb_pb2 as pdpb
from flaredb.wire.services import PD_METHODS
from tests.pd.helpers import region, store

DEADLINE_S = 30.0


def pd_node(directory: Path, address: str = "127.0.0.1:0", **flags: Any) -> PdNode:
    """Not started. A port 0 is any free one."""
    tables = {"client-urls": f"http://{address}", "data-dir": str(directory / "pd"), **flags}

    def exit_process(status: int) -> None:
        raise AssertionError(f"PD would end with status {status}")

    return PdNode(load_pd_settings(None, tables), exit_process)


class PdRig:
    """Calls PD as a client does. ``cluster_id`` goes into every header unless a test says otherwise."""

    def __init__(self, node: PdNode, channel: grpc.aio.Channel) -> None:
        self.node = node
        self.channel = channel
        self.cluster_id = 0

    @property
    def port(self) -> int:
        return int(self.node.address.rpartition(":")[2])

    def header(self) -> pdpb.RequestHeader:
        return pdpb.RequestHeader(cluster_id=self.cluster_id)

    async def call(self, name: str, **fields: Any) -> Any:
        """A unary call; the response with an unset error, asserted."""
        response = await self.raw(name, **fields)
        assert response.header.cluster_id == self.node.loop.core.cluster_id
        assert not response.header.HasField("error"), response.header.error
        return response

    async def raw(self, name: str, metadata: tuple[tuple[str, str], ...] = (), **fields: Any) -> Any:
        """A unary call, whatever it answers."""
        method = PD_METHODS[name]
        fields.setdefault("header", self.header())
        unary = self.channel.unary_unary(method.path, method.request.SerializeToString, method.response.FromString)
        return await unary(method.request(**fields), timeout=DEADLINE_S, metadata=metadata)

    def stream(self, name: str) -> Any:
        method = PD_METHODS[name]
        serialize, parse = method.request.SerializeToString, method.response.FromString
        return self.channel.stream_stream(method.path, serialize, parse)(timeout=DEADLINE_S)

    async def bootstrap(self) -> Region:
        """Store 1 with region 2."""
        first = region(2)
        await self.call("Bootstrap", store=store_to_pb(store(1)), region=region_to_pb(first))
        return first

    async def report(self, of: Region, leader: int = 0, term: int = 6) -> None:
        """One heartbeat, taken over when this returns."""
        stream = self.stream("RegionHeartbeat")
        await stream.write(heartbeat_pb(self, of, leader, term))
        await stream.done_writing()
        assert [message async for message in stream] == []


def heartbeat_pb(rig: PdRig, of: Region, leader: int = 0, term: int = 6) -> pdpb.RegionHeartbeatRequest:
    return pdpb.RegionHeartbeatRequest(
        header=rig.header(), region=region_to_pb(of), leader=peer_to_pb(of.peers[leader]), term=term, approximate_size=1
    )


@asynccontextmanager
async def running_pd(directory: Path, **flags: Any) -> AsyncIterator[PdRig]:
    """A PD that serves, and stops at the end."""
    node = pd_node(directory, **flags)
    try:
        await node.start()
        async with grpc.aio.insecure_channel(node.address) as channel:
            rig = PdRig(node, channel)
            rig.cluster_id = node.loop.core.cluster_id
            yield rig
    finally:
        await node.stop()


def hold_long(rig: PdRig) -> None:
    """From now on PD holds calls for longer than their callers wait, so that only news can end the wait."""
    rig.node.loop.core._held._hold_ms = 4 * int(DEADLINE_S * 1000)


@contextmanager
def kept_port(port: int) -> Iterator[None]:
    """Until its server takes the port again it refuses connections, and nobody else on the machine is given it.

    Elsewhere than on Linux a second socket cannot have the port, so that there only luck keeps it.
    """
    with socket.socket() as holder:
        if sys.platform == "linux":
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.bind(("127.0.0.1", port))
        yield


async def until(condition: Callable[[], bool]) -> None:
    """Return when it holds; fail after the deadline."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.005)
