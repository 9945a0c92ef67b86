"""A client that sends each operation once, to one store, and records what became of it."""

from __future__ import annotations

from typing import Any

import grpc

from flaredb.cli.probe import ProbeFailed, RegionView
from flaredb.sim.linearizability import Kind
from flaredb.wire.pb import errorpb_pb2
from tests.chaos.history import Call, History
from tests.integration.calls import Calls, context_for
from tests.integration.cluster import Cluster

CALL_DEADLINE_S = 2.0


class PlainClient:
    """Each operation is one call, never repeated; True if it was answered.

    ``pinned_to``: asks this store only, as a replica.
    """

    def __init__(self, calls: Calls, cluster: Cluster, history: History, name: str, pinned_to: int = 0) -> None:
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
        answer = self._ask(call, "RawGet")
        if answer is not None:
            self._history.done(call, None if answer.not_found else answer.value)
        return answer is not None

    def put(self, key: bytes, value: bytes) -> bool:
        """Write."""
        call = self._history.begin(Kind.WRITE, key, self._name, value)
        return self._write(call, "RawPut", value=value)

    def delete(self, key: bytes) -> bool:
        """Remove."""
        return self._write(self._history.begin(Kind.WRITE, key, self._name), "RawDelete")

    def swap(self, key: bytes, known: dict[bytes, bytes | None], value: bytes) -> bool:
        """Compare-and-swap from the value that ``known`` has of the key, and note there what the key holds now."""
        expected = known.get(key)
        call = self._history.begin(Kind.SWAP, key, self._name, value, expected)
        fields = {"value": value, "previous_value": expected or b"", "previous_not_exist": expected is None}
        answer = self._ask(call, "RawCompareAndSwap", **fields)
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
        answer = self._ask(call, name, **fields)
        if answer is not None:
            self._history.done(call)
        return answer is not None

    def _ask(self, call: Call, name: str, **fields: Any) -> Any:
        """The answer; None if there was none or a refusal, with which the call is marked."""
        region = self._region(call.key)
        if region is None:
            self._history.refused(call)
            return None
        store_id = self._store_id(region)
        try:
            context = context_for(region, store_id, replica_read=bool(self._pinned_to))
        except StopIteration:
            self._regions, self._leaders = [], {}
            self._history.refused(call)
            return None
        address = next(store.ports.address for store in self._cluster.stores if store.store_id == context.peer.store_id)
        try:
            answer = self._calls.store(address, name, CALL_DEADLINE_S, context=context, key=call.key, **fields)
        except grpc.RpcError:
            self._regions, self._leaders = [], {}
            return None
        if answer.HasField("region_error"):
            self._learn(call, region, answer.region_error)
            return None
        return answer if not answer.error else None

    def _region(self, key: bytes) -> RegionView | None:
        if not self._regions:
            try:
                self._regions = self._calls.regions()
            except ProbeFailed:
                return None
        return next((region for region in self._regions if region.contains(key)), None)

    def _store_id(self, region: RegionView) -> int:
        if self._pinned_to:
            return self._cluster.store(self._pinned_to).store_id
        return self._leaders.get(region.id, 0) or region.leader_store_id or region.meta.peers[0].store_id

    def _learn(self, call: Call, region: RegionView, error: errorpb_pb2.Error) -> None:
        if not error.HasField("undetermined_result"):
            self._history.refused(call)
        self._regions, self._leaders = [], {}
        if error.not_leader.leader.store_id:
            self._leaders[region.id] = error.not_leader.leader.store_id
