"""How PD's pages answer: JSON for results, one line of text for refusals."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from flaredb.pd.messages import PdError, PdErrorKind

API = "/pd/api/v1"

_STATUS = {
    PdErrorKind.REGION_NOT_FOUND: 404,
    PdErrorKind.STORE_TOMBSTONE: 410,
    PdErrorKind.NOT_BOOTSTRAPPED: 503,
}
"""Any other refusal is 400: the request does not fit the cluster as it is."""


def json_answer(value: Any) -> web.Response:
    """200 and a value."""
    return web.Response(text=json.dumps(value, indent=2) + "\n", content_type="application/json")


def refusal(status: int, sentence: str) -> web.Response:
    """What is wrong and what to do, on one line."""
    return web.Response(status=status, text=f"{sentence}\n")


def not_found(sentence: str) -> web.Response:
    """404."""
    return refusal(404, sentence)


def refused_by_core(error: PdError) -> web.Response:
    """The core's refusal, in its own words."""
    return refusal(_STATUS.get(error.kind, 400), error.message)
