"""A KV service on a free port in front of a toy store: a dict, or results that a test decides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from flaredb.model import commands as c
from flaredb.model.ids import ClusterId, StoreId
from flaredb.server.counters import Counters
from flaredb.server.grpc_server import make_server
from flaredb.server.health import HealthService
from flaredb.server.http2.front import Http2Server
from flaredb.server.service import KvService
from flaredb.server.service_settings import KvServiceSettings
from flaredb.store.messages import Input, RequestsReceived
from flaredb.wire.pb import kvrpcpb_pb2, metapb_pb2
from flaredb.wire.services import TIKV_METHODS, Method

CLUSTER_ID = ClusterId(5)
STORE_ID = StoreId(2)
DEADLINE_S = 30


class ToyStore:
    """Answers every input at once from a dict per column family, unless told to hold or to decide otherwise."""

    def __init__(self) -> None:
        self.data: tuple[dict[bytes, bytes], ...] = ({}, {}, {})
        self.inputs: list[RequestsReceived] = []
        self.decide: Callable[[c.Request], Any] = self.execute
        self.holds = False
        self.held: list[c.Request] = []

    def submit(self, given: Input) -> None:
        assert isinstance(given, RequestsReceived)
        self.inputs.append(given)
        self.held += given.requests
        if not self.holds:
            self.release()

    def release(self) -> None:
        """Answer all that is held, as one step of the store."""
        requests, self.held = self.held, []
        sinks = {}
        for request in requests:
            sink, slot = request.token
            sinks[id(sink)] = sink
            sink.answer(slot, self.decide(request))
        for sink in sinks.values():
            sink.flush()

    @property
    def requests(self) -> list[c.Request]:
        return [request for given in self.inputs for request in given.requests]

    def execute(self, request: c.Request) -> Any:
        command = request.command
        if isinstance(command, c.Write):
            return [self._apply(operation) for operation in command.operations][-1]
        if isinstance(command, c.Get):
            return self.data[command.cf].get(command.key)
        if isinstance(command, c.BatchGet):
            rows = self.data[command.cf]
            return [(key, rows[key]) for key in command.keys if key in rows]
        if isinstance(command, c.Scan):
            return self._scan(command)
        if isinstance(command, c.BatchScan):
            return [row for scan in command.scans for row in self._scan(scan)]
        return c.ChecksumResult(1, len(self.data[0]), 2)

    def _apply(self, operation: c.Operation) -> Any:
        kind, cf, key, *rest = operation
        rows = self.data[cf]
        if kind == c.PUT:
            rows[key] = rest[0]
        elif kind == c.DELETE:
            rows.pop(key, None)
        elif kind == c.DELETE_RANGE:
            for doomed in [k for k in rows if key <= k and (not rest[0] or k < rest[0])]:
                del rows[doomed]
        else:
            previous = rows.get(key)
            if previous == rest[0]:
                self._apply((c.DELETE, cf, key) if rest[1] is None else (c.PUT, cf, key, rest[1]))
            return c.CasResult(previous == rest[0], previous)
        return None

    def _scan(self, scan: c.Scan) -> list[tuple[bytes, bytes]]:
        rows = [
            row for row in self.data[scan.cf].items() if row[0] >= scan.start and (not scan.end or row[0] < scan.end)
        ]
        rows.sort(reverse=scan.reverse)
        return [(key, b"" if scan.keys_only else value) for key, value in rows[: scan.limit]]


class Rig:
    """The served toy store and a channel to it."""

    def __init__(self, store: ToyStore, port: int, channel: grpc.aio.Channel, health: HealthService) -> None:
        self.store = store
        self.port = port
        self.channel = channel
        self.health = health

    async def call(self, name: str, channel: grpc.aio.Channel | None = None, **fields: Any) -> Any:
        """A unary call by its bare name; the context is a usual one unless given."""
        method = TIKV_METHODS[name]
        if "context" in method.request.DESCRIPTOR.fields_by_name:
            fields.setdefault("context", context())
        stub = (channel or self.channel).unary_unary(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )
        return await stub(method.request(**fields), timeout=DEADLINE_S)

    async def error(self, name: str, channel: grpc.aio.Channel | None = None, **fields: Any) -> grpc.aio.AioRpcError:
        """The status error of a call that must fail."""
        try:
            answer = await self.call(name, channel, **fields)
        except grpc.aio.AioRpcError as error:
            return error
        raise AssertionError(f"{name} answered {answer}")

    def batch(self) -> Any:
        """An open BatchCommands stream."""
        method = TIKV_METHODS["BatchCommands"]
        return self.channel.stream_stream(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )(timeout=60)


def _codec(method: Method) -> dict[str, Any]:
    return {
        "request_serializer": method.request.SerializeToString,
        "response_deserializer": method.response.FromString,
    }


def context(**fields: Any) -> kvrpcpb_pb2.Context:
    """What a client that knows region 7, led by peer 11 on this store, sends along."""
    return kvrpcpb_pb2.Context(
        region_id=7,
        region_epoch=metapb_pb2.RegionEpoch(version=3, conf_ver=1),
        peer=metapb_pb2.Peer(id=11, store_id=STORE_ID),
        **fields,
    )


@asynccontextmanager
async def serve(
    settings: KvServiceSettings | None = None,
    now_ms: Callable[[], int] = lambda: 1000,
    counters: Counters | None = None,
) -> AsyncIterator[Rig]:
    """A rig for the time of a test."""
    store = ToyStore()
    service = KvService(store.submit, CLUSTER_ID, STORE_ID, settings, now_ms, counters)
    health = HealthService("tikvpb.Tikv")
    server, port = await _start(service, health)
    try:
        async with open_channel(port) as channel:
            yield Rig(store, port, channel, health)
    finally:
        await server.stop(0)


async def _start(service: KvService, health: HealthService) -> tuple[Any, int]:
    if FRONT["server"] == "built-in":
        http2 = Http2Server({**service.routes(), **health.routes()}, service.submit_gathered)
        return http2, await http2.start("127.0.0.1", 0)
    server, port = make_server([service.handlers(), health.handlers()], "127.0.0.1:0")
    await server.start()
    return server, port


FRONT = {"server": "library"}
"""The front end that ``serve`` puts before the service."""


@pytest.fixture(params=["library", "built-in"], autouse=True)
def each_front(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Tests of a module that imports this run with both front ends."""
    monkeypatch.setitem(FRONT, "server", request.param)
    return str(request.param)


def open_channel(port: int, user_agent: str = "") -> grpc.aio.Channel:
    """A channel that receives any size; ``user_agent`` comes before gRPC's own."""
    options: list[tuple[str, Any]] = [("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
    if user_agent:
        options.append(("grpc.primary_user_agent", user_agent))
    return grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options)


async def until(condition: Callable[[], bool], what: str) -> None:
    """Let the loop run until the condition holds; AssertionError after the deadline."""
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + DEADLINE_S
    while not condition():
        assert loop.time() < give_up_at, f"waited {DEADLINE_S} s in vain for {what}"
        await asyncio.sleep(0.002)
