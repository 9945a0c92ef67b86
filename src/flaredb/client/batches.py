"""Many keys at once: sorted, cut by region and size, pursued side by side, cut anew where a region has changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from flaredb.client.errors import ClientError
from flaredb.client.history import History
from flaredb.client.plan import Core, Moved
from flaredb.client.steps import Plan, Together
from flaredb.model.commands import Command
from flaredb.model.region import Region

Item = TypeVar("Item")
REGIONS_ASKED_FOR = 64
"""How many regions PD is asked for at once where one is not known: a batch's keys are likely to be in the next ones."""


@dataclass(slots=True)
class Batch:
    """What is the same for all parts of a batch. Items are tuples whose first element is the key, ascending."""

    make: Callable[[Sequence[Any]], Command]
    deadline_ms: int
    idempotent: bool = False
    ttl_s: int = 0


def pursue_batch(core: Core, batch: Batch, items: Sequence[tuple[bytes, ...]]) -> Plan:
    """Pursue all of ``items``; results of their requests, in no order. Pre: items ascend and are not empty.

    Result: list of results. Errors: the gravest of the parts' ClientErrors: one of unknown fate before others.
    """
    parts = yield from _cut(core, batch, items)
    if len(parts) == 1:
        return (yield from _part(core, batch, parts[0]))
    plans = [_part(core, batch, part) for part in parts]
    outcomes = yield Together(plans, core.options.batches_at_once)
    errors = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    if errors:
        raise _gravest(errors, len(outcomes))
    return [result for outcome in outcomes for result in outcome]


def _part(core: Core, batch: Batch, items: Sequence[tuple[bytes, ...]]) -> Plan:
    last = items[-1][0]

    def make(_region: Region) -> Command:
        return batch.make(items)

    def fits(region: Region) -> bool:
        return region.contains(last)

    try:
        result = yield from core.pursue(
            items[0][0], make, batch.deadline_ms, idempotent=batch.idempotent, ttl_s=batch.ttl_s, fits=fits
        )
    except Moved:
        return (yield from pursue_batch(core, batch, items))
    return [result]


def _cut(core: Core, batch: Batch, items: Sequence[tuple[bytes, ...]]) -> Plan:
    """Slices of items, each within one region and the limits of a request."""
    keys_max, bytes_max = core.options.batch_keys_max, core.options.batch_bytes_max
    parts: list[Sequence[tuple[bytes, ...]]] = []
    first = size_bytes = 0
    end = b""
    for at, item in enumerate(items):
        key = item[0]
        item_bytes = sum(map(len, item))
        is_new_region = at == 0 or (end and key >= end)
        if is_new_region:
            now_ms = core.now_ms()
            route = core.cache.find(key, now_ms)
            if route is None:
                route = yield from core.locate(key, batch.deadline_ms, History(now_ms), count=REGIONS_ASKED_FOR)
            end = route.end_key
        if at > first and (is_new_region or at - first >= keys_max or size_bytes + item_bytes > bytes_max):
            parts.append(items[first:at])
            first, size_bytes = at, 0
        size_bytes += item_bytes
    parts.append(items[first:])
    return parts


def _gravest(errors: Sequence[Exception], parts: int) -> Exception:
    error = next((error for error in errors if isinstance(error, ClientError) and error.undetermined), errors[0])
    if isinstance(error, ClientError):
        error.args = (f"{error} ({len(errors)} of the {parts} requests of this batch failed; the others were done)",)
    return error
