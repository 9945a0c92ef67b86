"""Pages about stores: how they do, and orders to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from aiohttp import web

from flaredb.model.cluster import StoreState
from flaredb.model.ids import StoreId
from flaredb.pd.core import PdCore
from flaredb.pd.messages import (
    CancelRemoveStore,
    GetStoreStatus,
    RemoveStore,
    RemoveTombstones,
    SetStoreLabels,
    SetStoreLimit,
    SetStoreWeight,
    StoreStatus,
)
from flaredb.server import pd_bodies as bodies
from flaredb.server.pd_answers import API, json_answer
from flaredb.server.pd_bodies import BadRequest
from flaredb.server.pd_shapes import limit_shape, store_shape

STATE_NAMES = ("up", "offline", "tombstone", "disconnected", "down")
LIMIT_KINDS = ("add-peer", "remove-peer")
Ask = Callable[[Any], Any]


class UnknownStore(Exception):
    """There is no such store; answered by 404."""


class StorePages:
    """One method a page."""

    def __init__(self, ask: Ask, core: PdCore) -> None:
        self._ask = ask
        self._core = core

    def routes(self) -> Iterator[web.RouteDef]:
        """Fixed names before those with a variable in their place."""
        yield web.get(f"{API}/stores", self.all)
        yield web.get(f"{API}/stores/check", self.check)
        yield web.get(f"{API}/stores/limit", self.limits)
        yield web.post(f"{API}/stores/limit", self.limit_all)
        yield web.delete(f"{API}/stores/remove-tombstone", self.forget_tombstones)
        yield web.get(f"{API}/store/{{id}}", self.one)
        yield web.delete(f"{API}/store/{{id}}", self.remove)
        yield web.post(f"{API}/store/{{id}}/state", self.set_state)
        yield web.post(f"{API}/store/{{id}}/label", self.label)
        yield web.delete(f"{API}/store/{{id}}/label", self.drop_label)
        yield web.post(f"{API}/store/{{id}}/weight", self.weigh)
        yield web.post(f"{API}/store/{{id}}/limit", self.limit)

    async def all(self, request: web.Request) -> web.Response:
        """All stores that were not removed, or with ?state=0&state=1 those in these states."""
        states = request.query.getall("state", [])
        if not all(state in ("0", "1", "2") for state in states):
            raise BadRequest("state is 0 (Up), 1 (Offline) or 2 (Tombstone)")
        wanted = {int(state) for state in states} or {StoreState.UP, StoreState.OFFLINE}
        return _list([status for status in await self._ask(GetStoreStatus()) if status.meta.state in wanted])

    async def check(self, request: web.Request) -> web.Response:
        """Stores whose state has one of these names, whatever its capitals."""
        names = {name.lower() for name in request.query.getall("state", [])}
        if not names or not names <= set(STATE_NAMES):
            raise BadRequest(f"state is one of {', '.join(STATE_NAMES)}")
        return _list([status for status in await self._ask(GetStoreStatus()) if status.state_name.lower() in names])

    async def one(self, request: web.Request) -> web.Response:
        """One store; 404 if it is unknown."""
        (status,) = await self._ask(GetStoreStatus(self._known(request)))
        return json_answer(store_shape(status))

    async def remove(self, request: web.Request) -> web.Response:
        """Drain a store: its replicas move away, then it is a tombstone."""
        if "force" in request.query:
            raise BadRequest("force is not offered: replicas of a lost store are replaced after max-store-down-time")
        await self._ask(RemoveStore(self._known(request)))
        return json_answer("The store is set as Offline.")

    async def set_state(self, request: web.Request) -> web.Response:
        """?state=Up calls a drain off, ?state=Offline starts one."""
        store_id = self._known(request)
        name = request.query.get("state", "").lower()
        if name not in ("up", "offline"):
            raise BadRequest("state is Up or Offline")
        await self._ask(CancelRemoveStore(store_id) if name == "up" else RemoveStore(store_id))
        return json_answer("The store's state is updated.")

    async def label(self, request: web.Request) -> web.Response:
        """Labels to add or change; with ?force these and no others."""
        store_id = self._known(request)
        labels = await bodies.read_object(request)
        if not all(isinstance(value, str) for value in labels.values()):
            raise BadRequest('labels are texts, such as {"zone": "east"}')
        replace_all = request.query.get("force", "false") != "false"
        await self._ask(SetStoreLabels(store_id, tuple(labels.items()), replace_all))
        return json_answer("The store's label is updated.")

    async def drop_label(self, request: web.Request) -> web.Response:
        """The body is the label's key."""
        store_id = self._known(request)
        key = await bodies.read_json(request)
        if not isinstance(key, str) or not key:
            raise BadRequest('the body is the key of a label, such as "zone"')
        await self._ask(SetStoreLabels(store_id, ((key, ""),)))
        return json_answer(f"The label {key} is deleted for store {store_id}.")

    async def weigh(self, request: web.Request) -> web.Response:
        """How much of the leaders and of the data a store should have, as against others."""
        store_id = self._known(request)
        body = await bodies.read_object(request)
        leader, region = bodies.number_in(body, "leader"), bodies.number_in(body, "region")
        await self._ask(SetStoreWeight(store_id, leader, region))
        return json_answer("The store's weight is updated.")

    async def limits(self, request: web.Request) -> web.Response:
        """Peers per minute of every store, by id."""
        kind = request.query.get("type", "")
        _check_kind(kind)
        statuses: list[StoreStatus] = await self._ask(GetStoreStatus())
        with_tombstones = request.query.get("include_tombstone") == "true"
        shown = {}
        for status in statuses:
            if with_tombstones or status.meta.state != StoreState.TOMBSTONE:
                rates = limit_shape(status)
                shown[str(status.meta.id)] = {kind: rates[kind]} if kind else rates
        return json_answer(shown)

    async def limit(self, request: web.Request) -> web.Response:
        """Peers per minute of one store."""
        await self._limit(self._known(request), request)
        return json_answer("The store's limit is updated.")

    async def limit_all(self, request: web.Request) -> web.Response:
        """Peers per minute of every store, also of later ones."""
        await self._limit(None, request)
        return json_answer("Set store limit successfully.")

    async def forget_tombstones(self, _request: web.Request) -> web.Response:
        """Forget the stores that were removed."""
        await self._ask(RemoveTombstones())
        return json_answer("Remove tombstone successfully.")

    async def _limit(self, store_id: StoreId | None, request: web.Request) -> None:
        body = await bodies.read_object(request)
        if body.get("labels"):
            raise BadRequest("limits by label are not offered: set them store by store")
        kind = bodies.text_in(body, "type", "")
        _check_kind(kind)
        rate = bodies.number_in(body, "rate")
        if not rate:
            raise BadRequest('"rate" must be more than 0; pause the schedulers to stop all moves')
        await self._ask(SetStoreLimit(store_id, rate, kind))

    def _known(self, request: web.Request) -> StoreId:
        store_id = StoreId(bodies.path_id(request, "store"))
        if self._core.stores.find(store_id) is None:
            raise UnknownStore(f"store {store_id} does not exist")
        return store_id


def _check_kind(kind: str) -> None:
    if kind and kind not in LIMIT_KINDS:
        raise BadRequest(f'type "{kind}" is not known: write {" or ".join(LIMIT_KINDS)}, or leave it out for both')


def _list(statuses: list[StoreStatus]) -> web.Response:
    return json_answer({"count": len(statuses), "stores": [store_shape(status) for status in statuses]})
