"""Clients without servers: the plans of the real ones, answered from a sorted list in this process."""

from __future__ import annotations

import threading
from bisect import bisect_left, insort
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from flaredb.client.limits import ClientOptions
from flaredb.client.operations import Operations
from flaredb.client.plan import Core
from flaredb.client.steps import AskPd, AskStore, Plan, Together
from flaredb.faces.aio_calls import AsyncCalls
from flaredb.faces.driver import closed_error, make_core
from flaredb.faces.options import client_options
from flaredb.faces.pending import AsyncPending, SyncPending
from flaredb.faces.sync_client import MappingSugar
from flaredb.model.cluster import RegionRoute
from flaredb.model.commands import (
    COMPARE_AND_SWAP,
    DATA_CFS,
    DELETE,
    DELETE_RANGE,
    PUT,
    BatchGet,
    CasResult,
    Checksum,
    ChecksumResult,
    Get,
    Operation,
    Scan,
    Write,
)
from flaredb.model.crc64 import crc64_xz
from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.model.outcomes import Failed
from flaredb.model.region import INITIAL_EPOCH, Peer, Region
from flaredb.wire.requests import TTL_OFF

_PEER = Peer(PeerId(1), StoreId(1))
_REGION = Region(RegionId(1), b"", b"", INITIAL_EPOCH, (_PEER,))


class _Rows:
    """One column family: a dict and its keys in order."""

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}
        self.keys: list[bytes] = []

    def put(self, key: bytes, value: bytes) -> None:
        if key not in self.values:
            insort(self.keys, key)
        self.values[key] = value

    def delete(self, key: bytes) -> None:
        if self.values.pop(key, None) is not None:
            del self.keys[bisect_left(self.keys, key)]

    def slice(self, start: bytes, end: bytes) -> slice:
        return slice(bisect_left(self.keys, start), bisect_left(self.keys, end) if end else len(self.keys))


class MemoryStore:
    """The rows that memory clients work on; give one to several clients to let them share it. Thread-safe."""

    def __init__(self) -> None:
        self._families = tuple(_Rows() for _ in DATA_CFS)
        self._lock = threading.Lock()

    def run(self, core: Core, plan: Plan) -> Any:
        """Drive a plan to its end. Errors: what it raises."""
        outcome: Any = None
        try:
            while True:
                step = plan.send(outcome)
                outcome = self._outcome(core, step)
        except StopIteration as stop:
            return stop.value

    def _outcome(self, core: Core, step: Any) -> Any:
        if isinstance(step, AskStore):
            if step.ttl_s:
                return Failed(TTL_OFF)
            with self._lock:
                return self._execute(step.command)
        if isinstance(step, AskPd):
            core.learn([RegionRoute(_REGION, _PEER)])
            return None
        if isinstance(step, Together):
            return [self._try(core, plan) for plan in step.plans]
        return None

    def _try(self, core: Core, plan: Plan) -> Any:
        try:
            return self.run(core, plan)
        except Exception as error:
            return error

    # ------------------------------------------------------------ commands

    def _execute(self, command: Any) -> Any:
        if isinstance(command, Write):
            return [self._apply(operation) for operation in command.operations][-1]
        if isinstance(command, Get):
            return self._families[command.cf].values.get(command.key)
        if isinstance(command, BatchGet):
            values = self._families[command.cf].values
            return [(key, values[key]) for key in command.keys if key in values]
        if isinstance(command, Scan):
            return self._scan(command)
        assert isinstance(command, Checksum)
        return self._checksum(command)

    def _apply(self, operation: Operation) -> CasResult | None:
        kind, cf, key, *rest = operation
        rows = self._families[cf]
        if kind == PUT:
            rows.put(key, rest[0])
        elif kind == DELETE:
            rows.delete(key)
        elif kind == DELETE_RANGE:
            doomed = rows.slice(key, rest[0])
            for gone in rows.keys[doomed]:
                del rows.values[gone]
            del rows.keys[doomed]
        else:
            assert kind == COMPARE_AND_SWAP
            expected, wanted = rest
            previous = rows.values.get(key)
            if previous != expected:
                return CasResult(False, previous)
            if wanted is None:
                rows.delete(key)
            else:
                rows.put(key, wanted)
            return CasResult(True, previous)
        return None

    def _scan(self, scan: Scan) -> list[tuple[bytes, bytes]]:
        rows = self._families[scan.cf]
        keys = rows.keys[rows.slice(scan.start, scan.end)]
        chosen = keys[: -scan.limit - 1 : -1] if scan.reverse else keys[: scan.limit]
        return [(key, b"" if scan.keys_only else rows.values[key]) for key in chosen]

    def _checksum(self, command: Checksum) -> ChecksumResult:
        rows = self._families[0]
        checksum = count = size_bytes = 0
        for start, end in command.ranges:
            for key in rows.keys[rows.slice(start, end)]:
                value = rows.values[key]
                checksum ^= crc64_xz(key + value)
                count += 1
                size_bytes += len(key) + len(value)
        return ChecksumResult(checksum, count, size_bytes)


class _Ended:
    """A plan that has come to its end already, for both faces."""

    def __init__(self, result: Any, error: Exception | None) -> None:
        self._result = result
        self._error = error

    def result(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._result


class _AsyncEnded(_Ended):
    async def result(self) -> Any:
        return super().result()


class MemoryClient(MappingSugar):
    """flaredb.Client without servers: the same calls, checks and errors; nothing is kept."""

    def __init__(self, store: MemoryStore | None = None, *, options: ClientOptions | None = None) -> None:
        """``store``: rows to share with other memory clients. Errors: ConfigError for options that cannot work."""
        self.options = client_options(None, None, None, None, options or ClientOptions())
        self.store = store or MemoryStore()
        self._core = make_core(self.options)
        self._operations = Operations(self._core)
        self._closed = False

    def close(self) -> None:
        """All later calls fail; the rows stay in the store."""
        self._closed = True

    def __enter__(self) -> MemoryClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __iter__(self) -> Iterator[bytes]:
        return super().__iter__()

    def _run(self, plan: Plan) -> Any:
        if self._closed:
            raise closed_error()
        return self.store.run(self._core, plan)

    def _begin(self, plan: Plan) -> SyncPending:
        try:
            return _Ended(self._run(plan), None)
        except Exception as error:
            return _Ended(None, error)


class AsyncMemoryClient(AsyncCalls):
    """flaredb.aio.Client without servers: the same calls, checks and errors; nothing is kept."""

    def __init__(self, store: MemoryStore | None = None, *, options: ClientOptions | None = None) -> None:
        """``store``: rows to share with other memory clients. Errors: ConfigError for options that cannot work."""
        self.options = client_options(None, None, None, None, options or ClientOptions())
        self.store = store or MemoryStore()
        self._core = make_core(self.options)
        self._operations = Operations(self._core)
        self._closed = False

    async def close(self) -> None:
        """All later calls fail; the rows stay in the store."""
        self._closed = True

    async def __aenter__(self) -> AsyncMemoryClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def _run(self, plan: Plan) -> Any:
        if self._closed:
            raise closed_error()
        return self.store.run(self._core, plan)

    def _begin(self, plan: Plan) -> AsyncPending:
        try:
            if self._closed:
                raise closed_error()
            return _AsyncEnded(self.store.run(self._core, plan), None)
        except Exception as error:
            return _AsyncEnded(None, error)
