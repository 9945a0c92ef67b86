"""A placement driver behind its gRPC handlers, without sockets, in virtual time."""

from __future__ import annotations

import asyncio
from collections import deque
from random import Random
from typing import Any

from google.protobuf.message import DecodeError

from flaredb.engine.memory import MemoryEngine
from flaredb.model.ids import StoreId
from flaredb.pd.config import PdConfig
from flaredb.pd.core import PdCore
from flaredb.pd.messages import Answer, Called, Fatal, SendOrder, Sync, SyncDone
from flaredb.server.etcd_service import EtcdService
from flaredb.server.pd_service import PdService
from flaredb.wire.pb import metapb_pb2, pdpb_pb2
from flaredb.wire.services import ETCD_CLUSTER_METHODS, ETCD_KV_METHODS, PD_METHODS, Method
from tests.fuzz.driven import FakeContext, end_of
from tests.fuzz.mutate import Hints, Mutator

STEP_MS = 50
ROUNDS_MAX = 8_000
"""Calls that wait for a split are held for up to three minutes, of virtual time."""

WALL_MS = 1_700_000_000_000
KEYS = (b"", b"a", b"b", b"g", b"m", b"mm", b"t", b"\xff" * 9)


class FakePdLoop:
    """PdLoop's two faces, stepped by hand."""

    def __init__(self, core: PdCore, engine: MemoryEngine) -> None:
        self.core = core
        self.now_ms = 1_000
        self.on_order: Any = lambda _store, _order: None
        self._engine = engine

    async def call(self, call: Any) -> Any:
        future = asyncio.get_running_loop().create_future()
        self.step([Called(future, call)])
        return await future

    def step(self, inputs: list[Any]) -> None:
        """One step, and those that its syncs bring."""
        while True:
            following: list[Any] = []
            for effect in self.core.step(self.now_ms, WALL_MS + self.now_ms, inputs):
                if isinstance(effect, Answer):
                    if not effect.token.done():
                        effect.token.set_result(effect.result)
                elif isinstance(effect, Sync):
                    self._engine.sync()
                    following.append(SyncDone(effect.sequence))
                elif isinstance(effect, SendOrder):
                    self.on_order(effect.store_id, effect.order)
                assert not isinstance(effect, Fatal), effect
            if not following:
                return
            inputs = following


class PdTarget:
    """Three stores and at first one region; what messages change stays, as in a real PD."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.engine = MemoryEngine()
        self.core = PdCore(PdConfig(hold_ms=200), self.engine, Random(seed))
        self.loop = FakePdLoop(self.core, self.engine)
        cluster_id = int(self.core.cluster_id)
        self.hints = Hints(
            {
                "cluster_id": (cluster_id,),
                "region_id": (2, 3, 4),
                "regions_id": (2, 3, 4),
                "Region.id": (2, 3),
                "Store.id": (1, 2, 3, 4),
                "Peer.id": (11, 12, 13, 14),
                "store_id": (1, 2, 3, 4),
                "version": (1, 1, 2, 2**64 - 1),
                "conf_ver": (1, 1, 2, 2**64 - 1),
                "count": (1, 10),
                "limit": (0, 1, 10),
                "split_count": (1, 2),
                "max_peer_count": (1, 3),
            },
            KEYS,
        )
        self.mutator = Mutator(self.rng, self.hints)
        self.orders_sent = 0

    async def start(self) -> None:
        """Bootstrap: only possible inside an event loop."""
        self.service = PdService(self.loop, "pd", "http://127.0.0.1:1", "0.1.0")  # type: ignore[arg-type]
        self.etcd = EtcdService(self.loop, "pd", "http://127.0.0.1:1", 1)  # type: ignore[arg-type]
        send = self.loop.on_order

        def counted(store_id: StoreId, order: Any) -> None:
            self.orders_sent += 1
            send(store_id, order)

        self.loop.on_order = counted
        header = {"cluster_id": int(self.core.cluster_id)}
        epoch = {"version": 1, "conf_ver": 1}
        peers = [{"id": 11, "store_id": 1}]
        region = {"id": 2, "region_epoch": epoch, "peers": peers}
        store = {"id": 1, "address": "127.0.0.1:20160", "version": "6.5.0"}
        await self._known(PD_METHODS["Bootstrap"], pdpb_pb2.BootstrapRequest(header=header, store=store, region=region))
        for store_id in (2, 3):
            put = pdpb_pb2.PutStoreRequest(
                header=header, store=metapb_pb2.Store(id=store_id, address=f"127.0.0.1:2{store_id}", version="6.5.0")
            )
            await self._known(PD_METHODS["PutStore"], put)

    async def _known(self, method: Method, request: Any) -> None:
        response = await self.call(method, request.SerializeToString())
        assert not response.header.error.message, response

    # ------------------------------------------------ one case

    async def one(self) -> None:
        """One random call."""
        if self.rng.random() < 0.02:
            table = self.rng.choice((ETCD_KV_METHODS, ETCD_CLUSTER_METHODS))
            await self._etcd(self.rng.choice(list(table.values())))
            return
        method = PD_METHODS[self.rng.choice(tuple(PD_METHODS))]
        if method.client_streaming:
            await self.stream(method, [self.mutator.encoded(method.request) for _ in range(self.rng.choice((1, 2, 4)))])
        else:
            await self.call(method, self.mutator.encoded(method.request))

    async def _etcd(self, method: Method) -> None:
        request = _parsed(method, self.mutator.encoded(method.request))
        handle = {"Range": self.etcd._range, "MemberList": self.etcd._member_list}.get(method.name)
        if request is not None and handle is not None:
            (await handle(request, FakeContext())).SerializeToString()  # type: ignore[arg-type]

    async def call(self, method: Method, data: bytes) -> Any:
        """The response; None if bytes or call were refused."""
        handler = self.service._handler(method.name)
        context = FakeContext()
        if method.client_streaming or method.server_streaming:
            return None
        response = await self._finish(handler.unary_unary(_read(handler, data), context), context)
        if response is not None:
            handler.response_serializer(response)
        return response

    async def stream(self, method: Method, datas: list[bytes]) -> None:
        """A stream that ends after these requests."""
        handler = self.service._handler(method.name)
        requests = deque(_read(handler, data) for data in datas)
        context = FakeContext()
        behaviour = handler.stream_stream or handler.stream_unary
        called = behaviour(_endless(requests), context)
        if not hasattr(called, "__anext__"):
            await self._finish(called, context)
            return

        async def drain() -> None:
            async for response in called:
                handler.response_serializer(response)

        await self._finish(drain(), context)

    async def _finish(self, coroutine: Any, context: FakeContext) -> Any:
        task = asyncio.ensure_future(coroutine)
        rounds = 0
        while not task.done():
            await asyncio.sleep(0)
            rounds += 1
            if rounds % 3 == 0:
                self.loop.now_ms += STEP_MS
                self.loop.step([])
            assert rounds < ROUNDS_MAX * 3, "a call hangs"
        error = task.exception()
        end_of(context, error)
        return None if error is not None else task.result()

    async def check(self) -> None:
        """What PD keeps loads again, and says the same."""
        restarted = PdCore(PdConfig(hold_ms=200), self.engine, Random(1))
        assert restarted.cluster_id == self.core.cluster_id
        assert [route.region for route in _all(restarted)] == [route.region for route in _all(self.core)]
        assert {store.meta.id for store in restarted.stores} == {store.meta.id for store in self.core.stores}


def _all(core: PdCore) -> Any:
    return core.regions.scan(b"", b"", 0)


async def _endless(requests: deque[Any]) -> Any:
    while requests:
        yield requests.popleft()


def _read(handler: Any, data: bytes) -> Any:
    """The request as gRPC would hand it over; what is not built gets the bytes."""
    return handler.request_deserializer(data) if handler.request_deserializer else data


def _parsed(method: Method, data: bytes) -> Any:
    """The request as gRPC would hand it over; None: gRPC itself refuses the bytes."""
    try:
        return method.request.FromString(data)
    except DecodeError:
        return None
