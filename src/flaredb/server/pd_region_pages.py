"""Pages about regions: all, one, those of a range or a store, the largest, those that need care."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator

from aiohttp import web

from flaredb.model.cluster import StoreState
from flaredb.model.ids import RegionId, StoreId
from flaredb.model.region import PeerRole
from flaredb.pd.core import PdCore
from flaredb.pd.region_tree import RegionRecord
from flaredb.server.pd_answers import API, json_answer, not_found
from flaredb.server.pd_bodies import BadRequest, limit, path_id, path_key, query_key
from flaredb.server.pd_shapes import MIB, region_shape

LIST_DEFAULT = 16
LIST_MAX = 10_240
SLICE = 256
"""Regions that are written at a time: about 5 ms."""

_TOP: dict[str, Callable[[RegionRecord], int]] = {
    "confver": lambda record: record.region.epoch.conf_ver,
    "keys": lambda record: record.approximate_keys,
    "readflow": lambda record: record.bytes_read,
    "size": lambda record: record.approximate_size_bytes,
    "version": lambda record: record.region.epoch.version,
    "writeflow": lambda record: record.bytes_written,
}
"""What the largest regions are the largest in."""

_HOLDS: dict[str, Callable[[RegionRecord, StoreId], bool]] = {
    "all": lambda record, store_id: record.region.peer_on(store_id) is not None,
    "leader": lambda record, store_id: record.leader is not None and record.leader.store_id == store_id,
    "learner": lambda record, store_id: any(
        peer.store_id == store_id and peer.role == PeerRole.LEARNER for peer in record.region.peers
    ),
    "pending": lambda record, store_id: any(peer.store_id == store_id for peer in record.pending_peers),
}


class RegionPages:
    """One method a page; the directory is read on the event loop's thread, at once."""

    def __init__(self, core: PdCore) -> None:
        self._core = core

    def routes(self) -> Iterator[web.RouteDef]:
        """Fixed names before those with a variable in their place."""
        yield web.get(f"{API}/regions", self.all)
        yield web.get(f"{API}/regions/count", self.count)
        yield web.get(f"{API}/regions/key", self.range)
        yield web.get(f"{API}/regions/range-holes", self.holes)
        yield web.get(f"{API}/regions/store/{{id}}", self.of_store)
        yield web.get(f"{API}/regions/sibling/{{id}}", self.siblings)
        yield web.get(f"{API}/regions/check/{{state}}", self.check)
        for name in _TOP:
            yield web.get(f"{API}/regions/{name}", self.top)
        yield web.get(f"{API}/region/id/{{id}}", self.one)
        yield web.get(f"{API}/region/key/{{key:.*}}", self.of_key)

    async def all(self, _request: web.Request) -> web.Response:
        """All regions, by key."""
        return await _list(list(self._core.regions))

    async def count(self, _request: web.Request) -> web.Response:
        """How many there are."""
        return json_answer({"count": len(self._core.regions)})

    async def range(self, request: web.Request) -> web.Response:
        """Regions from ?key= on, before ?end_key=, at most ?limit=."""
        start, end = query_key(request, "key"), query_key(request, "end_key")
        if end and end <= start:
            raise BadRequest("end_key must lie behind key")
        return await _list(self._core.regions.scan(start, end, limit(request, LIST_DEFAULT, LIST_MAX)))

    async def holes(self, _request: web.Request) -> web.Response:
        """Ranges that no known region holds, as pairs of keys in hexadecimal digits."""
        holes, behind = [], b""
        for record in self._core.regions:
            if record.region.start_key != behind:
                holes.append([_hex(behind), _hex(record.region.start_key)])
            behind = record.region.end_key
            if not behind:
                return json_answer(holes)
        return json_answer([*holes, [_hex(behind), ""]])

    async def of_store(self, request: web.Request) -> web.Response:
        """Regions with a replica on a store; with ?type=leader, learner or pending, one of that kind."""
        store_id = StoreId(path_id(request, "store"))
        kind = request.query.get("type", "all")
        if kind not in _HOLDS:
            raise BadRequest(f'type "{kind}" is not known: write {", ".join(_HOLDS)}')
        if self._core.stores.find(store_id) is None:
            return not_found(f"store {store_id} does not exist")
        return await _list([record for record in self._core.regions if _HOLDS[kind](record, store_id)])

    async def siblings(self, request: web.Request) -> web.Response:
        """The regions to the left and to the right of one."""
        region_id = RegionId(path_id(request, "region"))
        tree = self._core.regions
        record = tree.by_id(region_id)
        if record is None:
            return not_found(f"region {region_id} does not exist")
        left = tree.before(record.region.start_key)
        right = tree.by_key(record.region.end_key) if record.region.end_key else None
        return await _list([found for found in (left, right) if found is not None])

    async def check(self, request: web.Request) -> web.Response:
        """Regions that need care."""
        state = request.match_info["state"]
        needs_care = self._checks().get(state)
        if needs_care is None:
            raise BadRequest(f'check "{state}" is not known: write one of {", ".join(self._checks())}')
        return await _list([record for record in self._core.regions if needs_care(record)])

    async def top(self, request: web.Request) -> web.Response:
        """The ?limit= regions that are the largest in what the path names, largest first."""
        most = limit(request, LIST_DEFAULT, LIST_MAX)
        by = _TOP[request.path.rpartition("/")[2]]
        return await _list(sorted(self._core.regions, key=by, reverse=True)[:most])

    async def one(self, request: web.Request) -> web.Response:
        """One region, or null, as PD answers."""
        record = self._core.regions.by_id(RegionId(path_id(request, "region")))
        return json_answer(region_shape(record) if record else None)

    async def of_key(self, request: web.Request) -> web.Response:
        """The region of a key; 404 if none is known to hold it."""
        record = self._core.regions.by_key(path_key(request, "/region/key/"))
        return json_answer(region_shape(record)) if record else not_found("no region is known to hold this key")

    def _checks(self) -> dict[str, Callable[[RegionRecord], bool]]:
        replicas = self._core.max_replicas
        offline = {store.meta.id for store in self._core.stores if store.meta.state == StoreState.OFFLINE}
        return {
            "miss-peer": lambda record: len(record.region.peers) < replicas,
            "extra-peer": lambda record: len(record.region.peers) > replicas,
            "down-peer": lambda record: bool(record.down_peers),
            "pending-peer": lambda record: bool(record.pending_peers),
            "learner-peer": lambda record: any(peer.role == PeerRole.LEARNER for peer in record.region.peers),
            "offline-peer": lambda record: any(peer.store_id in offline for peer in record.region.peers),
            "empty-region": lambda record: record.approximate_size_bytes <= MIB,
        }


async def _list(records: list[RegionRecord]) -> web.Response:
    """Many regions are written in slices, one a line: timestamps and heartbeats go on between them."""
    if len(records) <= SLICE:
        return json_answer({"count": len(records), "regions": [region_shape(record) for record in records]})
    parts = []
    for start in range(0, len(records), SLICE):
        parts.append(",\n    ".join(json.dumps(region_shape(record)) for record in records[start : start + SLICE]))
        await asyncio.sleep(0)
    text = f'{{\n  "count": {len(records)},\n  "regions": [\n    ' + ",\n    ".join(parts) + "\n  ]\n}\n"
    return web.Response(text=text, content_type="application/json")


def _hex(key: bytes) -> str:
    return key.hex().upper()
