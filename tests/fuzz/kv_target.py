"""A whole store behind its KV service, without sockets: handlers, decoders, core and engine, in virtual time."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

from flaredb.engine.memory import MemoryEngine
from flaredb.model.ids import ClusterId, StoreId
from flaredb.model.region import INITIAL_EPOCH
from flaredb.server.service import KvService
from flaredb.server.service_settings import KvServiceSettings
from flaredb.store.invariants import check_store
from flaredb.store.messages import AskSplit, Fatal, Input, RegionsListed, Reply, SplitIdsGranted, Sync, SyncDone
from flaredb.store.store import Store
from flaredb.wire.pb import tikvpb_pb2
from flaredb.wire.services import TIKV_METHODS
from tests.fuzz.driven import FakeContext, end_of
from tests.fuzz.mutate import Hints, Mutator
from tests.store.harness import CONFIG, region
from tests.store.snapshot_files import MemorySnapshotFiles

CLUSTER_ID = ClusterId(5)
STORE_ID = StoreId(1)
WITNESS_ID = 7_000_001
WITNESS_ROWS = [(b"w%03d" % i, b"kept %d" % i) for i in range(50)]
"""Rows of a region whose ids no message is told: nothing may change them."""

ROUNDS_MAX = 400
STEP_MS = 50
NAMES = ("RawGet", "RawPut", "RawBatchPut", "RawScan", "RawBatchScan", "RawCompareAndSwap", "RawDeleteRange")
METHOD_NAMES = [*TIKV_METHODS, *NAMES * 6, *["BatchCommands"] * 20]
"""What is served is tried more often than what is not built."""

EPOCHS = (INITIAL_EPOCH.version, INITIAL_EPOCH.version, INITIAL_EPOCH.version + 1, 2**64 - 1)
HINTS = Hints(
    {
        "region_id": (1, 2, 9),
        "Peer.id": (11, 21),
        "store_id": (1, 1, 1, 2),
        "version": EPOCHS,
        "conf_ver": EPOCHS,
        "cluster_id": (CLUSTER_ID, 0),
        "term": (0, 0, 0, 1, 6, 2**64 - 1),
        "api_version": (0,),
        "ttl": (0,),
        "ttls": (0,),
        "limit": (1, 10, 100),
        "each_limit": (1, 10),
        "delay_time": (0, 1),
        "algorithm": (0,),
    },
    (b"", b"a", b"b", b"lz", b"m", b"mm", b"r", b"t", b"w001", b"w", b"\xff" * 9),
)


class KvTarget:
    """Regions [,m), [m,t) that messages are told of, and [t,) that they are not, all led here."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.mutator = Mutator(self.rng, HINTS)
        self.engine = MemoryEngine()
        self.now_ms = 1_000
        self._last_id = 100
        self._is_stepping = False
        self._inbox: list[Input] = []
        self.store = Store(CONFIG, STORE_ID, self.engine, Random(seed), self.now_ms, MemorySnapshotFiles())
        settings = KvServiceSettings(empty_delay_ms_max=20)
        self.service = KvService(self.submit, CLUSTER_ID, STORE_ID, settings, lambda: self.now_ms)
        self._handlers = {name: self.service._handler(method) for name, method in TIKV_METHODS.items()}
        regions = (
            region(1, b"", b"m", (1,)),
            region(2, b"m", b"t", (1,)),
            region(WITNESS_ID, b"t", b"", (1,)),
        )
        batch = self.engine.batch()
        for key, value in WITNESS_ROWS:
            batch.put("default", key, value)
        self.engine.write(batch)
        self.submit(RegionsListed(regions))
        for _ in range(20):
            self.advance()
        assert all(peer.is_leader for peer in self.store.peers.values())

    # ------------------------------------------------ the loop

    def submit(self, item: Input) -> None:
        """As server/loop does, but at once; what comes while a step runs waits for the next."""
        self._inbox.append(item)
        self._run()

    def advance(self) -> None:
        """Time passes."""
        self.now_ms += STEP_MS
        self._run(once=True)

    def _run(self, once: bool = False) -> None:
        if self._is_stepping:
            return
        self._is_stepping = True
        try:
            steps = 0
            while once or self._inbox or self.store.has_work():
                once = False
                steps += 1
                assert steps < 10_000, "the store never comes to rest"
                inputs, self._inbox = self._inbox, []
                self._perform(self.store.step(self.now_ms, inputs))
        finally:
            self._is_stepping = False

    def _perform(self, effects: list[Any]) -> None:
        for effect in effects:
            if isinstance(effect, Reply):
                sinks = {}
                for (sink, slot), result in effect.answers:
                    sink.answer(slot, result)
                    sinks[id(sink)] = sink
                for sink in sinks.values():
                    sink.flush()
            elif isinstance(effect, Sync):
                self.engine.sync()
                self._inbox.append(SyncDone(effect.sequence))
            elif isinstance(effect, AskSplit):
                self._inbox.append(SplitIdsGranted(effect.region.id, effect.region.epoch.version, (), "no ids today"))
            assert not isinstance(effect, Fatal), effect

    # ------------------------------------------------ one case

    async def one(self) -> None:
        """One random call, from bytes to bytes."""
        name = self.rng.choice(METHOD_NAMES)
        if name == "BatchCommands":
            await self.batch([self.frame() for _ in range(self.rng.choice((1, 1, 3)))])
        else:
            await self.call(name, self.mutator.encoded(TIKV_METHODS[name].request))

    def frame(self) -> bytes:
        """A BatchCommands frame whose ids mostly fit its requests."""
        batch = self.mutator.message(tikvpb_pb2.BatchCommandsRequest)
        if self.rng.random() < 0.9:
            del batch.request_ids[:]
            batch.request_ids.extend(self.rng.choice((0, 1, i, 2**64 - 1)) for i in range(len(batch.requests)))
        data = batch.SerializeToString()
        return self.mutator.mutated(data) if self.rng.random() < 0.2 else data

    async def call(self, name: str, data: bytes) -> bytes | None:
        """The encoded response, checked to be one; None if the call ended with a documented status."""
        context = FakeContext(agent=self.rng.choice(("grpc-go/1.60", "grpc-rust tikv-client", "")))
        method = TIKV_METHODS[name]
        answer = await self._finish(self._invoke(name, data, context), context)
        if answer is not None:
            method.response.FromString(answer)
        return answer

    def _invoke(self, name: str, data: bytes, context: FakeContext) -> Any:
        handler = self._handlers[name]
        request = data if not TIKV_METHODS[name].client_streaming else None
        behaviour = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
        return behaviour(request, context)

    async def batch(self, frames: list[bytes]) -> None:
        """A stream of frames: every request id answered exactly once, or the whole stream refused."""
        context = FakeContext(frames)
        await self._finish(self._handlers["BatchCommands"].stream_stream(None, context), context)
        answered: list[int] = []
        for data in context.written:
            response = tikvpb_pb2.BatchCommandsResponse.FromString(data)
            assert len(response.responses) == len(response.request_ids)
            answered += response.request_ids
        asked: list[int] = []
        for data in frames:
            asked += tikvpb_pb2.BatchCommandsRequest.FromString(data).request_ids if context.status is None else ()
        if context.status is None:
            assert sorted(asked) == sorted(answered)

    async def _finish(self, coroutine: Any, context: FakeContext) -> Any:
        task = asyncio.ensure_future(coroutine)
        rounds = 0
        while not task.done():
            await asyncio.sleep(0)
            if not task.done() and rounds % 3 == 2:
                self.advance()
            rounds += 1
            if rounds > ROUNDS_MAX:
                await asyncio.sleep(0.02)  # a thread encodes, or a delay that the client asked for passes
            assert rounds < ROUNDS_MAX * 2, "a call hangs"
        error = task.exception()
        end_of(context, error)
        return None if error is not None else task.result()

    def check(self) -> None:
        """Nothing waits, nothing is broken, and what no message was told of is as it was."""
        check_store(self.store)
        assert list(self.engine.scan("default", b"t", None)) == WITNESS_ROWS
        assert not list(self.engine.scan("lock", b"t", None))
        assert not list(self.engine.scan("write", b"t", None))
        assert self.store.waiting_requests == 0, "requests wait for ever"
