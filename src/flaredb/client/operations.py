"""Every call of the API as a plan: arguments are checked at once, the rest happens as the plan is driven.

The faces (asyncio, synchronous, in memory) differ in who drives; what a call does is here only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from flaredb.client.batches import Batch, pursue_batch
from flaredb.client.limits import (
    cf_index,
    check_key,
    check_keys,
    check_pair,
    check_range,
    check_timeout,
    check_ttl,
)
from flaredb.client.plan import Core
from flaredb.client.results import RangeChecksum, SwapResult
from flaredb.client.scans import Cursor, next_page
from flaredb.client.steps import Plan
from flaredb.model.commands import (
    COMPARE_AND_SWAP,
    DELETE,
    DELETE_RANGE,
    PUT,
    BatchGet,
    Checksum,
    Command,
    Get,
    Write,
)
from flaredb.model.region import Region


class Operations:
    """The calls of one client. Every method returns a plan, or raises TypeError, ValueError or LimitError."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._options = core.options
        self._default_cf = cf_index(core.options.cf)

    # ------------------------------------------------------------ one key

    def get(self, key: Any, cf: str | None, timeout: float | None) -> Plan:
        """Result: bytes | None."""
        command = Get(self._cf(cf), check_key(key, self._options))
        return self._core.pursue(command.key, lambda _region: command, self._deadline(timeout))

    def put(
        self, key: Any, value: Any, ttl: float | None, idempotent: bool | None, cf: str | None, timeout: float | None
    ) -> Plan:
        """Result: None."""
        key, value = check_pair(key, value, self._options)
        command = Write([(PUT, self._cf(cf), key, value)], len(key) + len(value))
        return self._core.pursue(
            key,
            lambda _region: command,
            self._deadline(timeout),
            idempotent=self._options.idempotent if idempotent is None else idempotent,
            ttl_s=check_ttl(ttl),
        )

    def delete(self, key: Any, idempotent: bool | None, cf: str | None, timeout: float | None) -> Plan:
        """Result: None."""
        key = check_key(key, self._options)
        command = Write([(DELETE, self._cf(cf), key)], len(key))
        return self._core.pursue(
            key, lambda _region: command, self._deadline(timeout), idempotent=self._may_repeat(idempotent)
        )

    def compare_and_swap(
        self, key: Any, old: Any, new: Any, ttl: float | None, cf: str | None, timeout: float | None
    ) -> Plan:
        """Result: SwapResult."""
        key, expected = check_pair(key, b"" if old is None else old, self._options)
        _, wanted = check_pair(key, b"" if new is None else new, self._options)
        operation = (
            COMPARE_AND_SWAP,
            self._cf(cf),
            key,
            None if old is None else expected,
            None if new is None else wanted,
        )
        command = Write([operation], len(key) + len(expected) + len(wanted))
        return self._swap(key, command, self._deadline(timeout), check_ttl(ttl))

    def _swap(self, key: bytes, command: Write, deadline_ms: int, ttl_s: int) -> Plan:
        result = yield from self._core.pursue(key, lambda _region: command, deadline_ms, ttl_s=ttl_s)
        return SwapResult(result.succeeded, result.previous)

    # ------------------------------------------------------------ many keys

    def get_many(self, keys: Iterable[Any], cf: str | None, timeout: float | None) -> Plan:
        """Result: list of bytes | None, parallel to ``keys``."""
        return self._get_many(check_keys(keys, self._options), self._cf(cf), self._deadline(timeout))

    def _get_many(self, keys: list[bytes], cf: int, deadline_ms: int) -> Plan:
        found = yield from self._find(keys, cf, deadline_ms)
        return [found.get(key) for key in keys]

    def get_dict(self, keys: Iterable[Any], cf: str | None, timeout: float | None) -> Plan:
        """Result: dict of the keys that exist, in the order of ``keys``."""
        return self._get_dict(check_keys(keys, self._options), self._cf(cf), self._deadline(timeout))

    def _get_dict(self, keys: list[bytes], cf: int, deadline_ms: int) -> Plan:
        found = yield from self._find(keys, cf, deadline_ms)
        return {key: found[key] for key in keys if key in found}

    def _find(self, keys: list[bytes], cf: int, deadline_ms: int) -> Plan:
        if not keys:
            return {}
        batch = Batch(lambda items: BatchGet(cf, [key for (key,) in items]), deadline_ms)
        results = yield from pursue_batch(self._core, batch, [(key,) for key in sorted(set(keys))])
        return {key: value for rows in results for key, value in rows}

    def put_many(
        self, pairs: Any, ttl: float | None, idempotent: bool | None, cf: str | None, timeout: float | None
    ) -> Plan:
        """Result: None. Of a key given twice the last value counts."""
        given = pairs.items() if isinstance(pairs, Mapping) else pairs
        checked = dict(check_pair(key, value, self._options) for key, value in given)
        index = self._cf(cf)

        def make(items: Any) -> Command:
            return Write([(PUT, index, key, value) for key, value in items], sum(len(k) + len(v) for k, v in items))

        return self._write_many(make, sorted(checked.items()), idempotent, check_ttl(ttl), self._deadline(timeout))

    def delete_many(self, keys: Iterable[Any], idempotent: bool | None, cf: str | None, timeout: float | None) -> Plan:
        """Result: None."""
        checked = sorted(set(check_keys(keys, self._options)))
        index = self._cf(cf)

        def make(items: Any) -> Command:
            return Write([(DELETE, index, key) for (key,) in items], sum(len(key) for (key,) in items))

        return self._write_many(make, [(key,) for key in checked], idempotent, 0, self._deadline(timeout))

    def _write_many(self, make: Any, items: list[Any], idempotent: bool | None, ttl_s: int, deadline_ms: int) -> Plan:
        if items:
            batch = Batch(make, deadline_ms, self._may_repeat(idempotent), ttl_s)
            yield from pursue_batch(self._core, batch, items)

    # ------------------------------------------------------------ ranges

    def delete_range(
        self, start: Any, end: Any, prefix: Any, idempotent: bool | None, cf: str | None, timeout: float | None
    ) -> Plan:
        """Result: None."""
        low, high = check_range(start, end, prefix, self._options, must_say=True)
        index = self._cf(cf)

        def make(part_low: bytes, part_high: bytes) -> Command:
            return Write([(DELETE_RANGE, index, part_low, part_high)], len(part_low) + len(part_high))

        return self._walk(low, high, make, self._deadline(timeout), self._may_repeat(idempotent))

    def checksum(self, start: Any, end: Any, prefix: Any, timeout: float | None) -> Plan:
        """Result: RangeChecksum."""
        low, high = check_range(start, end, prefix, self._options)
        return self._checksum(low, high, self._deadline(timeout))

    def _checksum(self, low: bytes, high: bytes, deadline_ms: int) -> Plan:
        parts = yield from self._walk(low, high, lambda a, b: Checksum([(a, b)]), deadline_ms)
        checksum = rows = size_bytes = 0
        for part in parts:
            checksum ^= part.checksum
            rows += part.total_kvs
            size_bytes += part.total_bytes
        return RangeChecksum(checksum, rows, size_bytes)

    def count(self, start: Any, end: Any, prefix: Any, cf: str | None, timeout: float | None) -> Plan:
        """Result: int."""
        low, high = check_range(start, end, prefix, self._options)
        return self._count(low, high, self._cf(cf), self._deadline(timeout))

    def _count(self, low: bytes, high: bytes, cf: int, deadline_ms: int) -> Plan:
        cursor = Cursor(cf, low, high, None, keys_only=True)
        rows = 0
        while page := (yield from next_page(self._core, cursor, deadline_ms)):
            rows += len(page)
        return rows

    def _walk(self, low: bytes, high: bytes, make: Any, deadline_ms: int, idempotent: bool = False) -> Plan:
        """Have every region do its part of [low, high), in key order. Result: list of results."""
        results = []
        while not high or low < high:
            bound = b""

            def part(region: Region, low: bytes = low) -> Command:
                nonlocal bound
                bound = region.end_key if region.end_key and (not high or region.end_key < high) else high
                return make(low, bound)  # type: ignore[no-any-return]

            results.append((yield from self._core.pursue(low, part, deadline_ms, patient=True, idempotent=idempotent)))
            low = bound
            if not low:
                break
        return results

    # ------------------------------------------------------------ scans

    def cursor(
        self,
        start: Any,
        end: Any,
        prefix: Any,
        reverse: bool,
        keys_only: bool,
        limit: int | None,
        cf: str | None,
        timeout: float | None,
    ) -> tuple[Cursor, int]:
        """A scan's cursor, and the milliseconds that each of its pages may take."""
        low, high = check_range(start, end, prefix, self._options)
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 0):
            raise ValueError(f"limit must be a number of rows from 0 on, or None for all, not {limit!r}")
        return Cursor(self._cf(cf), low, high, limit, reverse, keys_only), check_timeout(timeout, self._options)

    def page(self, cursor: Cursor, timeout_ms: int) -> Plan:
        """The cursor's next page. Result: list of Row, [] at the end."""
        return next_page(self._core, cursor, self._core.now_ms() + timeout_ms)

    # ------------------------------------------------------------ arguments

    def _cf(self, name: str | None) -> int:
        return self._default_cf if name is None else cf_index(name)

    def _may_repeat(self, idempotent: bool | None) -> bool:
        return self._options.idempotent if idempotent is None else idempotent

    def _deadline(self, timeout: float | None) -> int:
        if timeout is None:
            return self._core.now_ms() + self._options.timeout_ms
        return self._core.now_ms() + check_timeout(timeout, self._options)
