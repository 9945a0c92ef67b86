"""A client that sends each operation once, to one store, and records what became of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc

from flaredb.cli.probe import ProbeFailed, RegionView
from flaredb.sim.linearizability import Kind
from flaredb.wire.pb import errorpb_pb2, kvrpcpb_pb2
from tests.chaos.history import Call, History
from tests.integration.calls import Calls, context_for
from tests.integration.cluster import Cluster

CALL_DEADLINE_S = 2.0
SCAN_ROWS_MAX = 10_000


class PlainClient:
    """Each operation is one call, never repeated; True if it was answered.

    ``address_of``: where a store of this number is asked. ``pinned_to``: asks this store only, as a replica.
    """

    def __init__(
        self,
        calls: Calls,
        cluster: Cluster,
        history: History,
        name: str,
        address_of: Callable[[int], str],
        pinned_to: int = 0,
    ) -> None:
        self._address_of = address_of
        self._calls = calls
        self._cluster = cluster
        self._history = history
        self._name = name
        self._pinned_to = pinned_to
        self._regions: list[RegionView] = []
        self._leaders: dict[int, int] = {}
        """Store ids by region, as other stores told."""

    def get(self, key: bytes) -> bool:
        """Read."""
        call = self._history.begin(Kind.READ, key, self._name)
        answer = self._ask([call], "RawGet", key=key)
        if answer is not None:
            self._history.done(call, None if answer.not_found else answer.value)
        return answer is not None

    def put(self, key: bytes, value: bytes) -> bool:
        """Write."""
        call = self._history.begin(Kind.WRITE, key, self._name, value)
        return self._write(call, "RawPut", key=key, value=value)

    def delete(self, key: bytes) -> bool:
        """Remove."""
        return self._write(self._history.begin(Kind.WRITE, key, self._name), "RawDelete", key=key)

    def put_many(self, pairs: dict[bytes, bytes]) -> bool:
        """Write keys of one region in one call."""
        calls = [self._history.begin(Kind.WRITE, key, self._name, value) for key, value in pairs.items()]
        sent = [kvrpcpb_pb2.KvPair(key=key, value=value) for key, value in pairs.items()]
        answer = self._ask(calls, "RawBatchPut", pairs=sent)
        if answer is not None:
            self._history.done_many(calls)
        return answer is not None

    def get_many(self, keys: list[bytes]) -> bool:
        """Read keys of one region in one call."""
        calls = [self._history.begin(Kind.READ, key, self._name) for key in keys]
        answer = self._ask(calls, "RawBatchGet", keys=keys)
        if answer is None or any(pair.HasField("error") for pair in answer.pairs):
            return False
        self._history.done_many(calls, {pair.key: pair.value for pair in answer.pairs})
        return True

    def scan(self, start: bytes, end: bytes) -> bool:
        """Read a range that lies in one region."""
        calls = self._history.begin_scan(start, end, self._name)
        answer = self._ask(calls, "RawScan", start_key=start, end_key=end, limit=SCAN_ROWS_MAX)
        if answer is None or any(row.HasField("error") for row in answer.kvs):
            return False
        assert len(answer.kvs) < SCAN_ROWS_MAX, "a scan that may have been cut says nothing about what is missing"
        self._history.done_scan(calls, {row.key: row.value for row in answer.kvs})
        return True

    def swap(self, key: bytes, known: dict[bytes, bytes | None], value: bytes) -> bool:
        """Compare-and-swap from the value that ``known`` has of the key, and note there what the key holds now."""
        expected = known.get(key)
        call = self._history.begin(Kind.SWAP, key, self._name, value, expected)
        fields = {"key": key, "value": value, "previous_value": expected or b"", "previous_not_exist": expected is None}
        answer = self._ask([call], "RawCompareAndSwap", **fields)
        if answer is None:
            return False
        if answer.succeed:
            self._history.done(call)
            known[key] = value
        else:
            found = None if answer.previous_not_exist else answer.previous_value
            self._history.found_other(call, found)
            known[key] = found
        return True

    def _write(self, call: Call, name: str, **fields: Any) -> bool:
        answer = self._ask([call], name, **fields)
        if answer is not None:
            self._history.done(call)
        return answer is not None

    def _ask(self, calls: list[Call], name: str, **fields: Any) -> Any:
        """The answer; None if there was none or a refusal, with which the calls are marked. One region is asked."""
        region = self._region(calls[0].key)
        if region is None:
            self._refuse(calls)
            return None
        store_id = self._store_id(region)
        try:
            context = context_for(region, store_id, replica_read=bool(self._pinned_to))
        except StopIteration:
            self._forget()
            self._refuse(calls)
            return None
        number = next(store.number for store in self._cluster.stores if store.store_id == context.peer.store_id)
        try:
            answer = self._calls.store(self._address_of(number), name, CALL_DEADLINE_S, context=context, **fields)
        except grpc.RpcError:
            self._forget()
            return None
        if answer.HasField("region_error"):
            self._learn(calls, region, answer.region_error)
            return None
        return None if getattr(answer, "error", "") else answer

    def _refuse(self, calls: list[Call]) -> None:
        for call in calls:
            self._history.refused(call)

    def _forget(self) -> None:
        self._regions, self._leaders = [], {}

    def _region(self, key: bytes) -> RegionView | None:
        if not self._regions:
            try:
                self._regions = self._calls.regions(patience_s=0.0)
            except ProbeFailed:
                return None
        return next((region for region in self._regions if region.contains(key)), None)

    def _store_id(self, region: RegionView) -> int:
        if self._pinned_to:
            return self._cluster.store(self._pinned_to).store_id
        return self._leaders.get(region.id, 0) or region.leader_store_id or region.meta.peers[0].store_id

    def _learn(self, calls: list[Call], region: RegionView, error: errorpb_pb2.Error) -> None:
        if not error.HasField("undetermined_result"):
            self._refuse(calls)
        self._forget()
        if error.not_leader.leader.store_id:
            self._leaders[region.id] = error.not_leader.leader.store_id
