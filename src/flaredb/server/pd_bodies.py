"""What people ask of PD over HTTP, read with care: each refusal is a sentence that says what to write instead."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from aiohttp import web

from flaredb.model.ids import RegionId, StoreId
from flaredb.model.orders import SplitPolicy
from flaredb.pd.messages import (
    AddLearnerOp,
    AddPeerOp,
    OperatorSpec,
    RemovePeerOp,
    ScatterRegionOp,
    SplitRegionOp,
    TransferLeaderOp,
    TransferPeerOp,
)

_ID_MAX = 2**64 - 1
OPERATORS = (
    "add-peer",
    "add-learner",
    "remove-peer",
    "transfer-leader",
    "transfer-peer",
    "split-region",
    "scatter-region",
)
_NOT_OFFERED = {
    "merge-region": "regions do not merge yet",
    "transfer-region": "move one replica at a time, by transfer-peer",
    "scatter-regions": "use POST /pd/api/v1/regions/scatter",
}


class BadRequest(Exception):
    """A request that is wrong in itself; the message says what to write."""


async def read_json(request: web.Request) -> Any:
    """The body. Errors: BadRequest if it is not JSON."""
    try:
        return json.loads(await request.text())
    except (ValueError, LookupError, RecursionError) as error:  # text: an unknown charset; json: nested too deeply
        raise BadRequest(f"the body is not JSON: {error}") from error


async def read_object(request: web.Request) -> dict[str, Any]:
    """The body, an object. Errors: BadRequest."""
    body = await read_json(request)
    if not isinstance(body, dict):
        raise BadRequest('the body is not an object such as {"name": "value"}')
    return body


def path_id(request: web.Request, what: str) -> int:
    """The number in the path; ``what`` it is the id of. Errors: BadRequest."""
    text = request.match_info["id"]
    if not text.isascii() or not text.isdigit() or int(text) > _ID_MAX:
        raise BadRequest(f'"{text}" is not a {what} id: write a number')
    return int(text)


def path_key(request: web.Request, after: str) -> bytes:
    """The percent-encoded key behind ``after`` in the path, or with ?format=hex its digits. Errors: BadRequest."""
    text = request.rel_url.raw_path.partition(after)[2]
    key = unquote_to_bytes(text)
    return hex_key(key.decode("utf-8", "replace")) if request.query.get("format") == "hex" else key


def query_key(request: web.Request, name: str) -> bytes:
    """A percent-encoded key of the query; b"" if it is left out."""
    for part in request.rel_url.raw_query_string.split("&"):
        found, _, value = part.partition("=")
        if found == name:
            return unquote_to_bytes(value.replace("+", " "))
    return b""


def hex_key(value: object) -> bytes:
    """A key in hexadecimal digits. Errors: BadRequest."""
    try:
        if not isinstance(value, str):
            raise ValueError
        return bytes.fromhex(value)
    except ValueError as error:
        raise BadRequest(f"{value} is not a key: write pairs of hexadecimal digits, such as 00ff") from error


def hex_keys(body: Mapping[str, Any], name: str) -> tuple[bytes, ...]:
    """A list of keys in hexadecimal digits; none if it is left out. Errors: BadRequest."""
    values = body.get(name) or []
    if not isinstance(values, list):
        raise BadRequest(f'"{name}" is not a list of keys in hexadecimal digits')
    return tuple(hex_key(value) for value in values)


def limit(request: web.Request, default: int, most: int) -> int:
    """?limit=, at most ``most``. Errors: BadRequest."""
    text = request.query.get("limit", "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise BadRequest(f'limit "{text}" is not a number from 1 to {most}')
    return min(int(text), most)


def id_in(body: Mapping[str, Any], name: str) -> int:
    """An id by name. Errors: BadRequest if it is missing or not a whole number above 0."""
    value = body.get(name)
    if not _is_id(value):
        shown = "is missing" if value is None else f"{json.dumps(value)} is no id"
        raise BadRequest(f'"{name}" {shown}: write a whole number, such as "{name}": 4')
    assert isinstance(value, int | float)
    return int(value)


def ids_in(body: Mapping[str, Any], name: str) -> tuple[int, ...]:
    """A list of ids; none if it is left out. Errors: BadRequest."""
    values = body.get(name) or []
    if not isinstance(values, list) or not all(_is_id(value) for value in values):
        raise BadRequest(f'"{name}" is not a list of ids, such as [4, 5]')
    return tuple(int(value) for value in values)


def number_in(body: Mapping[str, Any], name: str) -> float:
    """A number of 0 or more. Errors: BadRequest."""
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise BadRequest(f'"{name}" must be a number of 0 or more')
    return float(value)


def text_in(body: Mapping[str, Any], name: str, default: str | None = None) -> str:
    """A text; without a ``default`` it must be there. Errors: BadRequest."""
    value = body.get(name, default)
    if not isinstance(value, str):
        raise BadRequest(f'"{name}" is missing: write a text' if value is None else f'"{name}" is not a text')
    return value


def operator_in(body: Mapping[str, Any]) -> OperatorSpec:
    """The operator that ``POST /operators`` asks for. Errors: BadRequest."""
    name = text_in(body, "name")
    if name not in OPERATORS:
        why = _NOT_OFFERED.get(name, f"known are {', '.join(OPERATORS)}")
        raise BadRequest(f'operator "{name}" is not offered: {why}')
    region_id = RegionId(id_in(body, "region_id"))
    if name == "add-peer":
        return AddPeerOp(region_id, StoreId(id_in(body, "store_id")))
    if name == "add-learner":
        return AddLearnerOp(region_id, StoreId(id_in(body, "store_id")))
    if name == "remove-peer":
        return RemovePeerOp(region_id, StoreId(id_in(body, "store_id")))
    if name == "transfer-leader":
        return TransferLeaderOp(region_id, StoreId(id_in(body, "to_store_id")))
    if name == "transfer-peer":
        return TransferPeerOp(region_id, StoreId(id_in(body, "from_store_id")), StoreId(id_in(body, "to_store_id")))
    if name == "split-region":
        return _split_in(region_id, body)
    return ScatterRegionOp(region_id, text_in(body, "group", ""))


def _split_in(region_id: RegionId, body: Mapping[str, Any]) -> SplitRegionOp:
    text = text_in(body, "policy", "scan")
    policy = SplitPolicy.__members__.get(text.upper())
    if policy is None:
        raise BadRequest(f'policy "{text}" is not known: write scan, approximate or usekey')
    keys = hex_keys(body, "keys")
    if policy == SplitPolicy.USEKEY and not keys:
        raise BadRequest('policy usekey needs "keys": a list of keys in hexadecimal digits')
    return SplitRegionOp(region_id, policy, keys if policy == SplitPolicy.USEKEY else ())


def _is_id(value: object) -> bool:
    """JSON knows one kind of number: 4.0 is as good as 4."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return value == int(value) and 0 < value <= _ID_MAX if abs(value) < float("inf") else False
