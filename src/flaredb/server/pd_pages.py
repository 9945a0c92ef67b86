"""The HTTP pages of PD's port. Import this late, in a thread: the HTTP library takes a fifth of a second to load."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from aiohttp import web

from flaredb.pd.messages import Call, PdError
from flaredb.server.metrics import CONTENT_TYPE
from flaredb.server.pd_answers import API, json_answer, not_found, refusal, refused_by_core
from flaredb.server.pd_api import PdApi
from flaredb.server.pd_bodies import BadRequest
from flaredb.server.pd_order_pages import ConfigPages, OperatorPages, RegionOrderPages, SchedulerPages
from flaredb.server.pd_region_pages import RegionPages
from flaredb.server.pd_store_pages import StorePages, UnknownStore

BODY_BYTES_MAX = 1024 * 1024
"""Room for the keys of some thousand splits."""

STOP_SECONDS_MAX = 1.0

Page = Callable[[web.Request], Awaitable[web.StreamResponse]]
CallCore = Callable[[Call], Awaitable[Any]]
"""PdLoop.call: the answer, or a PdError as a value."""


def make_runner(api: PdApi, call: CallCore) -> web.AppRunner:
    """The pages, not set up yet; its ``server`` makes the protocol of one connection."""
    app = make_app(api, call)
    return web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=STOP_SECONDS_MAX)


def make_app(api: PdApi, call: CallCore) -> web.Application:
    """The HTTP application: what ``api`` shows, and what ``call`` asks of the core."""

    async def ask(request: Call) -> Any:
        result = await call(request)
        if isinstance(result, PdError):
            raise result
        return result

    app = web.Application(middlewares=[_explain_refusals], client_max_size=BODY_BYTES_MAX)
    app.add_routes(_routes_of(api))
    for pages in (
        StorePages(ask, api.core),
        RegionPages(api.core),
        OperatorPages(ask),
        SchedulerPages(ask),
        ConfigPages(ask, api.version()["version"]),
        RegionOrderPages(ask, api.core),
    ):
        app.add_routes(pages.routes())
    return app


def _routes_of(api: PdApi) -> Iterator[web.RouteDef]:
    plain_pages = {
        "/members": api.members,
        "/leader": api.leader,
        "/health": api.health,
        "/version": api.version,
        "/status": api.status,
        "/cluster": api.cluster,
        "/cluster/status": api.cluster_status,
    }
    for path, read in plain_pages.items():
        yield web.get(API + path, _page_of(read))

    async def ping(_request: web.Request) -> web.Response:
        return web.Response()

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=api.metrics().encode(), headers={"Content-Type": CONTENT_TYPE})

    yield web.get(f"{API}/ping", ping)
    yield web.get("/status", ping)
    yield web.get("/metrics", metrics)


def _page_of(read: Callable[[], Any]) -> Page:
    async def page(_request: web.Request) -> web.StreamResponse:
        return json_answer(read())

    return page


@web.middleware
async def _explain_refusals(request: web.Request, handler: Page) -> web.StreamResponse:
    """Every refusal is one line that says what to do."""
    try:
        return await handler(request)
    except BadRequest as error:
        return refusal(400, str(error))
    except UnknownStore as error:
        return not_found(str(error))
    except PdError as error:
        return refused_by_core(error)
    except web.HTTPRequestEntityTooLarge:
        return refusal(413, f"the body is larger than {BODY_BYTES_MAX} bytes: ask in smaller parts")
    except web.HTTPMethodNotAllowed as error:
        methods = ", ".join(sorted(error.allowed_methods - {"HEAD"}))
        answer = refusal(405, f"{request.path} does not take {request.method}: use {methods}")
        answer.headers["Allow"] = methods
        return answer
    except web.HTTPNotFound:
        pages = ", ".join(
            sorted({route.resource.canonical for route in request.app.router.routes() if route.resource is not None})
        )
        return not_found(f"{request.path} does not exist; here are: {pages}")
