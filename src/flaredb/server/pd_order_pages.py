"""Pages by which people give orders: operators, schedulers, settings, splitting and scattering; and why."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from aiohttp import web

from flaredb.model.ids import RegionId, StoreId
from flaredb.pd.core import PdCore
from flaredb.pd.messages import (
    AddOperator,
    AddScheduler,
    CancelOperator,
    GetOperator,
    GetScheduleConfig,
    ListOperators,
    ListSchedulers,
    OperatorView,
    PauseScheduler,
    RemoveScheduler,
    ScatterRegion,
    ScatterRegionOp,
    SchedulerView,
    SetScheduleConfig,
    SplitRegions,
    Why,
)
from flaredb.server import pd_bodies as bodies
from flaredb.server import pd_shapes as shapes
from flaredb.server.pd_answers import API, json_answer, not_found
from flaredb.server.pd_bodies import BadRequest

KINDS = ("admin", "leader", "region", "waiting")
SPLIT_WAIT_MS = 10_000

Ask = Callable[[Any], Any]
"""Asks the core: a coroutine of the answer, which raises the core's PdError."""


class OperatorPages:
    """Operators: what PD is doing to regions, and what it is told to do."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def routes(self) -> Iterator[web.RouteDef]:
        """Fixed names before those with a variable in their place."""
        yield web.get(f"{API}/operators", self.all)
        yield web.post(f"{API}/operators", self.add)
        yield web.get(f"{API}/operators/records", self.records)
        yield web.get(f"{API}/operators/{{id}}", self.one)
        yield web.delete(f"{API}/operators/{{id}}", self.cancel)

    async def all(self, request: web.Request) -> web.Response:
        """Operators that run, of the ?kind=s named; as texts, or with ?object=true as objects."""
        kinds = request.query.getall("kind", [])
        unknown = [kind for kind in kinds if kind not in KINDS]
        if unknown:
            raise BadRequest(f'kind "{unknown[0]}" is not known: write {", ".join(KINDS)}')
        views = [view for view in await self._ask(ListOperators()) if _is_of(view, kinds)]
        as_object = request.query.get("object") == "true"
        shape = shapes.operator_object if as_object else shapes.operator_text
        return json_answer([shape(view) for view in views])

    async def records(self, request: web.Request) -> web.Response:
        """Operators that ended, since ?from= in unix seconds."""
        text = request.query.get("from", "0")
        if not text.isascii() or not text.isdigit():
            raise BadRequest(f'from "{text}" is not a time in unix seconds')
        views = await self._ask(ListOperators(ended=True, since_ms=int(text) * 1_000))
        return json_answer([shapes.operator_record_text(view) for view in views])

    async def one(self, request: web.Request) -> web.Response:
        """How the newest operator of a region stands."""
        view = await self._ask(GetOperator(RegionId(bodies.path_id(request, "region"))))
        as_object = request.query.get("object") == "true"
        return json_answer(shapes.operator_object(view) if as_object else shapes.operator_status_text(view))

    async def add(self, request: web.Request) -> web.Response:
        """An operator of a person's; scattering what is scattered already needs none, and is no failure."""
        spec = bodies.operator_in(await bodies.read_object(request))
        if isinstance(spec, ScatterRegionOp):
            await self._scatter(spec)
        else:
            await self._ask(AddOperator(spec))
        return json_answer("The operator is created.")

    async def _scatter(self, spec: ScatterRegionOp) -> None:
        result = await self._ask(ScatterRegion((spec.region_id,), spec.group))
        if result.failed_region_ids:
            raise BadRequest(
                f"region {spec.region_id} cannot be scattered: it is not known, or too many wait; try again"
            )

    async def cancel(self, request: web.Request) -> web.Response:
        """Stop the operator of a region."""
        await self._ask(CancelOperator(RegionId(bodies.path_id(request, "region"))))
        return json_answer("The pending operator is canceled.")


class SchedulerPages:
    """Schedulers: added, removed, paused; and what keeps one from acting."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def routes(self) -> Iterator[web.RouteDef]:
        """Fixed names before those with a variable in their place."""
        yield web.get(f"{API}/schedulers", self.all)
        yield web.post(f"{API}/schedulers", self.add)
        yield web.get(f"{API}/schedulers/diagnostic/{{name}}", self.diagnose)
        yield web.post(f"{API}/schedulers/{{name}}", self.pause)
        yield web.delete(f"{API}/schedulers/{{name}}", self.remove)
        yield web.get(f"{API}/scheduler-config/{{name}}/list", self.stores_of)
        yield web.post(f"{API}/scheduler-config/{{name}}/config", self.add_store)
        yield web.delete(f"{API}/scheduler-config/{{name}}/delete/{{id}}", self.remove_store)

    async def all(self, request: web.Request) -> web.Response:
        """Names; with ?status=paused of those that are, with ?timestamp=true since and until when."""
        status = request.query.get("status", "")
        if status not in ("", "paused", "disabled"):
            raise BadRequest(f'status "{status}" is not known: write paused or disabled')
        views: list[SchedulerView] = list(await self._ask(ListSchedulers()))
        if status == "disabled":
            views = []
        elif status == "paused":
            views = [view for view in views if view.resume_at_ms]
        if status and request.query.get("timestamp") == "true":
            return json_answer([shapes.scheduler_pause_shape(view) for view in views])
        return json_answer([view.name for view in views])

    async def add(self, request: web.Request) -> web.Response:
        """A scheduler, some of them for a store."""
        body = await bodies.read_object(request)
        store_id = StoreId(bodies.id_in(body, "store_id")) if "store_id" in body else None
        await self._ask(AddScheduler(bodies.text_in(body, "name"), store_id))
        return json_answer("The scheduler is created.")

    async def remove(self, request: web.Request) -> web.Response:
        """Take a scheduler away."""
        await self._ask(RemoveScheduler(request.match_info["name"]))
        return json_answer("The scheduler is removed.")

    async def pause(self, request: web.Request) -> web.Response:
        """Pause a scheduler for a number of seconds; 0 lets it go on."""
        body = await bodies.read_object(request)
        delay_s = bodies.number_in(body, "delay")
        await self._ask(PauseScheduler(request.match_info["name"], math.ceil(delay_s)))
        return json_answer("Pause or resume the scheduler successfully.")

    async def diagnose(self, request: web.Request) -> web.Response:
        """What a scheduler does, or why it does nothing."""
        view = await self._find(request.match_info["name"])
        if view is None:
            return not_found(f"scheduler {request.match_info['name']} was not added")
        return json_answer({"name": view.name, "status": view.status, "summary": view.summary, "timestamp": 0})

    async def stores_of(self, request: web.Request) -> web.Response:
        """The stores of a scheduler that is for some only."""
        view = await self._find(request.match_info["name"])
        if view is None or not view.store_ids:
            return not_found(f"scheduler {request.match_info['name']} has no settings")
        whole = [{"start-key": "", "end-key": ""}]
        return json_answer({"store-id-ranges": {str(store_id): whole for store_id in view.store_ids}})

    async def add_store(self, request: web.Request) -> web.Response:
        """One more store for such a scheduler."""
        body = await bodies.read_object(request)
        await self._ask(AddScheduler(request.match_info["name"], StoreId(bodies.id_in(body, "store_id"))))
        return json_answer("The scheduler has been applied to the store.")

    async def remove_store(self, request: web.Request) -> web.Response:
        """One store less."""
        store_id = bodies.path_id(request, "store")
        await self._ask(RemoveScheduler(f"{request.match_info['name']}-{store_id}"))
        return json_answer("The store is removed from the scheduler.")

    async def _find(self, name: str) -> SchedulerView | None:
        for view in await self._ask(ListSchedulers()):
            if view.name == name:
                found: SchedulerView = view
                return found
        return None


class ConfigPages:
    """PD's settings that may change while it runs."""

    def __init__(self, ask: Ask, version: str) -> None:
        self._ask = ask
        self._version = version

    def routes(self) -> Iterator[web.RouteDef]:
        """All, or one section."""
        yield web.get(f"{API}/config", self.all)
        yield web.get(f"{API}/config/schedule", self.schedule)
        yield web.get(f"{API}/config/replicate", self.replication)
        yield web.get(f"{API}/config/cluster-version", self.cluster_version)
        for path in ("", "/schedule", "/replicate"):
            yield web.post(f"{API}/config{path}", self.set)

    async def all(self, _request: web.Request) -> web.Response:
        """Every section."""
        sections = await self._ask(GetScheduleConfig())
        return json_answer({name: shapes.settings_shape(section) for name, section in sections.items()})

    async def schedule(self, _request: web.Request) -> web.Response:
        """[schedule]."""
        return json_answer(shapes.settings_shape((await self._ask(GetScheduleConfig()))["schedule"]))

    async def replication(self, _request: web.Request) -> web.Response:
        """[replication]."""
        return json_answer(shapes.settings_shape((await self._ask(GetScheduleConfig()))["replication"]))

    async def cluster_version(self, _request: web.Request) -> web.Response:
        """The version whose protocol is spoken."""
        return json_answer(self._version)

    async def set(self, request: web.Request) -> web.Response:
        """Change settings, all that are named or none."""
        body = await bodies.read_object(request)
        if not body:
            raise BadRequest('name what to change, such as {"region-schedule-limit": 8}')
        await self._ask(SetScheduleConfig(tuple(body.items())))
        return json_answer("The config is updated.")


class RegionOrderPages:
    """Splitting and scattering by range; and why something is or is not happening."""

    def __init__(self, ask: Ask, core: PdCore) -> None:
        self._ask = ask
        self._core = core

    def routes(self) -> Iterator[web.RouteDef]:
        """The last three are FlareDB's own."""
        yield web.post(f"{API}/regions/split", self.split)
        yield web.post(f"{API}/regions/scatter", self.scatter)
        yield web.get(f"{API}/why/region/{{id}}", self.why_region)
        yield web.get(f"{API}/why/store/{{id}}", self.why_store)
        yield web.get(f"{API}/why/key/{{key:.*}}", self.why_key)

    async def split(self, request: web.Request) -> web.Response:
        """Make borders at the keys named."""
        keys = bodies.hex_keys(await bodies.read_object(request), "split_keys")
        if not keys:
            raise BadRequest('"split_keys" names no key: write a list of keys in hexadecimal digits')
        result = await self._ask(SplitRegions(keys, SPLIT_WAIT_MS))
        return json_answer({"processed-percentage": result.finished_percentage, "regions-id": list(result.region_ids)})

    async def scatter(self, request: web.Request) -> web.Response:
        """Spread the regions of a range, or those named, evenly over the stores."""
        body = await bodies.read_object(request)
        ids = tuple(map(RegionId, bodies.ids_in(body, "regions_id")))
        if not ids:
            start, end = (bodies.hex_key(body.get(name, "")) for name in ("start_key", "end_key"))
            ids = tuple(record.region.id for record in self._core.regions.scan(start, end))
        result = await self._ask(ScatterRegion(ids, bodies.text_in(body, "group", "")))
        return json_answer({"processed-percentage": result.finished_percentage})

    async def why_region(self, request: web.Request) -> web.Response:
        """Why something is or is not happening to a region."""
        return await self._why(Why(region_id=RegionId(bodies.path_id(request, "region"))))

    async def why_store(self, request: web.Request) -> web.Response:
        """Why something is or is not happening to a store."""
        return await self._why(Why(store_id=StoreId(bodies.path_id(request, "store"))))

    async def why_key(self, request: web.Request) -> web.Response:
        """Why something is or is not happening to the region of a key."""
        return await self._why(Why(key=bodies.path_key(request, "/why/key/")))

    async def _why(self, call: Why) -> web.Response:
        region_id = call.region_id
        if call.key is not None:
            record = self._core.regions.by_key(call.key)
            region_id = record.region.id if record else None
        sentence = await self._ask(call)
        about = {"store_id": call.store_id} if call.store_id is not None else {"region_id": region_id}
        return json_answer({**about, "why": sentence})


def _is_of(view: OperatorView, kinds: list[str]) -> bool:
    return not kinds or bool(set(kinds) & {word.strip() for word in view.kind.split(",")})
