"""The pages of the status address (wire facts 6). Import this late: see status_port."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from flaredb.model.errors import ConfigError
from flaredb.model.keys import format_key
from flaredb.server import logs
from flaredb.server.metrics import CONTENT_TYPE
from flaredb.server.status_port import Sources
from flaredb.server.store_metrics import render_store_metrics

ENGINE_TYPE = "raft-kv"
"""What TiKV calls one storage engine for all regions of a store."""

BODY_BYTES_MAX = 4096
_REGIONS_NAMED_MAX = 20

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_app(sources: Sources) -> web.Application:
    """The HTTP application over ``sources``."""
    pages = StatusPages(sources)
    app = web.Application(middlewares=[_explain_refusals], client_max_size=BODY_BYTES_MAX)
    app.add_routes(
        [
            web.get("/metrics", pages.metrics),
            web.get("/status", pages.status),
            web.get("/ready", pages.ready),
            web.get("/config", pages.config),
            web.get("/regions", pages.regions),
            web.get("/region/{id}", pages.region),
            web.get("/engine_type", pages.engine_type),
            web.put("/log-level", pages.set_log_level),
        ]
    )
    return app


class StatusPages:
    """One method a page. Refusals are plain text that says what to do."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    async def metrics(self, _request: web.Request) -> web.Response:
        """Prometheus text."""
        self._sources.measure()
        return web.Response(
            body=render_store_metrics(self._sources.counters).encode(), headers={"Content-Type": CONTENT_TYPE}
        )

    async def status(self, _request: web.Request) -> web.Response:
        """200 with nothing in it: the process is alive."""
        return web.Response()

    async def ready(self, request: web.Request) -> web.Response:
        """200 if the store can serve, else 500; with ?verbose every condition as JSON."""
        conditions = self._sources.ready()
        missing = [name for name, holds in conditions.items() if not holds]
        status = 500 if missing else 200
        if "verbose" in request.query:
            return _json(conditions, status)
        return web.Response(status=status, text="".join(f"not yet: {name}\n" for name in missing))

    async def config(self, _request: web.Request) -> web.Response:
        """The settings in force."""
        return _json(self._sources.config())

    async def regions(self, _request: web.Request) -> web.Response:
        """Ids of the regions here."""
        return _json(self._sources.region_ids())

    async def region(self, request: web.Request) -> web.Response:
        """One region's state on this store; 404 names the regions that are here."""
        text = request.match_info["id"]
        if not text.isascii() or not text.isdigit():
            return web.Response(status=400, text=f'"{text}" is not a region id: write a number, such as /region/2\n')
        region = self._sources.region_status(int(text))
        if region is None:
            return web.Response(status=404, text=f"region {int(text)} is not on this store; {self._regions_here()}\n")
        return _json(region)

    async def engine_type(self, _request: web.Request) -> web.Response:
        """How data is kept, as TiKV names it."""
        return web.Response(text=ENGINE_TYPE)

    async def set_log_level(self, request: web.Request) -> web.Response:
        """Body: a level's name, or {"log_level": name} as TiKV takes it."""
        try:
            logs.set_level(_level_in((await request.read()).decode("utf-8", "replace")))
        except ConfigError as error:
            return web.Response(status=400, text=f"{error}\n")
        return web.Response()

    def _regions_here(self) -> str:
        ids = self._sources.region_ids()
        if not ids:
            return "there is none here yet"
        more = (
            f" and {len(ids) - _REGIONS_NAMED_MAX} more (/regions lists all)" if len(ids) > _REGIONS_NAMED_MAX else ""
        )
        return "here are: " + ", ".join(map(str, ids[:_REGIONS_NAMED_MAX])) + more


def readable(value: Any) -> Any:
    """``value`` fit for JSON: bytes become a bytes literal, and members that hold bytes get a twin in hexadecimal."""
    if isinstance(value, dict):
        plain: dict[str, Any] = {}
        for name, item in value.items():
            plain[str(name)] = readable(item)
            if isinstance(item, bytes):
                plain[f"{name}_hex"] = item.hex()
        return plain
    if isinstance(value, list | tuple):
        return [readable(item) for item in value]
    return format_key(value) if isinstance(value, bytes) else value


def _json(value: Any, status: int = 200) -> web.Response:
    text = json.dumps(readable(value), indent=2, default=str) + "\n"
    return web.Response(status=status, text=text, content_type="application/json")


def _level_in(body: str) -> str:
    try:
        parsed = json.loads(body)
    except ValueError:
        parsed = body.strip()
    if isinstance(parsed, dict):
        parsed = parsed.get("log_level")
    return str(parsed).lower()


@web.middleware
async def _explain_refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What does not exist is answered with what does."""
    try:
        return await handler(request)
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods - {"HEAD"}))
        return web.Response(
            status=405, text=f"{request.path} takes {allowed}, not {request.method}\n", headers={"Allow": allowed}
        )
    except web.HTTPNotFound:
        return web.Response(status=404, text=f"{request.path} does not exist; here are: {_pages(request.app)}\n")


def _pages(app: web.Application) -> str:
    pages = []
    for route in app.router.routes():
        if route.method != "HEAD" and route.resource is not None:
            pages.append(f"{route.method} {route.resource.canonical}")
    return ", ".join(pages)
