"""The HTTP pages of PD's port. Import this late, in a thread: the HTTP library takes a fifth of a second to load."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote_to_bytes

from aiohttp import web

from flaredb.server.metrics import CONTENT_TYPE
from flaredb.server.pd_api import PdApi

API = "/pd/api/v1"
BODY_BYTES_MAX = 4_096
STOP_SECONDS_MAX = 1.0

Page = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_runner(api: PdApi) -> web.AppRunner:
    """The pages over ``api``, not set up yet; its ``server`` makes the protocol of one connection."""
    return web.AppRunner(make_app(api), access_log=None, handle_signals=False, shutdown_timeout=STOP_SECONDS_MAX)


def make_app(api: PdApi) -> web.Application:
    """The HTTP application over ``api``."""
    pages = PdPages(api)
    plain_pages = {
        "/members": api.members,
        "/leader": api.leader,
        "/health": api.health,
        "/version": api.version,
        "/status": api.status,
        "/cluster": api.cluster,
        "/cluster/status": api.cluster_status,
        "/regions": api.regions,
    }
    app = web.Application(middlewares=[_explain_refusals], client_max_size=BODY_BYTES_MAX)
    app.add_routes([web.get(API + path, _page_of(read)) for path, read in plain_pages.items()])
    app.add_routes(
        [
            web.get(f"{API}/ping", pages.ping),
            web.get(f"{API}/stores", pages.stores),
            web.get(f"{API}/store/{{id}}", pages.store),
            web.get(f"{API}/region/id/{{id}}", pages.region),
            web.get(f"{API}/region/key/{{key:.*}}", pages.region_of_key),
            web.get("/metrics", pages.metrics),
            web.get("/status", pages.ping),
        ]
    )
    return app


class PdPages:
    """One method a page. Refusals are plain text that says what to do."""

    def __init__(self, api: PdApi) -> None:
        self._api = api

    async def ping(self, _request: web.Request) -> web.Response:
        """200 with nothing in it: the process is alive."""
        return web.Response()

    async def metrics(self, _request: web.Request) -> web.Response:
        """Prometheus text."""
        return web.Response(body=self._api.metrics().encode(), headers={"Content-Type": CONTENT_TYPE})

    async def stores(self, request: web.Request) -> web.Response:
        """All stores, or with ?state=0&state=1 those in these states."""
        states = request.query.getall("state", [])
        if not all(state in ("0", "1", "2") for state in states):
            return web.Response(status=400, text="state is 0 (Up), 1 (Offline) or 2 (Tombstone)\n")
        return _json(self._api.stores({int(state) for state in states}))

    async def store(self, request: web.Request) -> web.Response:
        """One store; 404 if it is unknown."""
        return _one(request, "store", self._api.store)

    async def region(self, request: web.Request) -> web.Response:
        """One region, or null, as PD answers."""
        return _one(request, "region", self._api.region, missing_is_null=True)

    async def region_of_key(self, request: web.Request) -> web.Response:
        """The region of a percent-encoded key, or with ?format=hex of one in hexadecimal digits; 404 if none."""
        text = request.rel_url.raw_path.partition("/region/key/")[2]
        key = unquote_to_bytes(text)
        if request.query.get("format") == "hex":
            try:
                key = bytes.fromhex(key.decode("ascii"))
            except ValueError:
                return web.Response(status=400, text=f"{text} is not made of pairs of hexadecimal digits\n")
        found = self._api.region_of(key)
        return _json(found) if found else web.Response(status=404, text="no region is known to hold this key\n")


def _page_of(read: Callable[[], Any]) -> Page:
    async def page(_request: web.Request) -> web.StreamResponse:
        return _json(read())

    return page


def _one(request: web.Request, what: str, find: Callable[[int], Any], *, missing_is_null: bool = False) -> web.Response:
    text = request.match_info["id"]
    if not text.isascii() or not text.isdigit():
        return web.Response(status=400, text=f'"{text}" is not a {what} id: write a number\n')
    found = find(int(text))
    if found is None and not missing_is_null:
        return web.Response(status=404, text=f"{what} {int(text)} does not exist\n")
    return _json(found)


def _json(value: Any) -> web.Response:
    return web.Response(text=json.dumps(value, indent=2) + "\n", content_type="application/json")


@web.middleware
async def _explain_refusals(request: web.Request, handler: Page) -> web.StreamResponse:
    """What does not exist is answered with what does."""
    try:
        return await handler(request)
    except web.HTTPMethodNotAllowed:
        return web.Response(status=405, text=f"{request.path} is read only here: use GET\n", headers={"Allow": "GET"})
    except web.HTTPNotFound:
        pages = ", ".join(
            sorted({route.resource.canonical for route in request.app.router.routes() if route.resource is not None})
        )
        return web.Response(status=404, text=f"{request.path} does not exist; here are: {pages}\n")
