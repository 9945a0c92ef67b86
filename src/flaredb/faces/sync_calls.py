"""Generated from aio_calls.py by scripts/gen_sync_calls.py: change that file and run the script."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, overload

from flaredb.client.limits import Buffer
from flaredb.client.operations import Operations
from flaredb.client.results import RangeChecksum, Row, SwapResult
from flaredb.client.steps import Plan
from flaredb.faces.sync_scan import Pending, SyncScan


class SyncCalls:
    """Raw reads and writes. Whoever inherits this drives the plans.

    What all calls share: keys and values are bytes (any buffer is taken, str is refused); ``cf`` is the column family,
    "default", "lock" or "write", by default the client's; ``timeout`` is the deadline in seconds, by default the
    client's. All raise TypeError or ValueError for arguments that cannot work, LimitError for what is too large, and
    ClientErrors, of which TimeoutError and, from writes, UndeterminedError are to be expected (flaredb.errors).
    """

    _operations: Operations

    def _run(self, plan: Plan) -> Any:
        raise NotImplementedError

    def _begin(self, plan: Plan) -> Pending:
        raise NotImplementedError

    # ------------------------------------------------------------ one key

    def get(self, key: Buffer, *, cf: str | None = None, timeout: float | None = None) -> bytes | None:
        """The value of a key, as of some moment during the call; None if it has none. b"" is a value."""
        value: bytes | None = self._run(self._operations.get(key, cf, timeout))
        return value

    def put(
        self,
        key: Buffer,
        value: Buffer,
        *,
        ttl: float | None = None,
        idempotent: bool | None = None,
        cf: str | None = None,
        timeout: float | None = None,
    ) -> None:
        """Write a pair; on return a majority of its replicas has it on disk.

        ``ttl``: seconds after which the pair is gone; only where the servers support it (TiKV with
        storage.enable-ttl), else TtlNotEnabledError. ``idempotent``: the write may be applied twice, so where its fate
        is unknown it is tried again instead of raising UndeterminedError; say so where nobody else writes this key.
        """
        self._run(self._operations.put(key, value, ttl, idempotent, cf, timeout))

    def put_if_absent(
        self,
        key: Buffer,
        value: Buffer,
        *,
        ttl: float | None = None,
        cf: str | None = None,
        timeout: float | None = None,
    ) -> bool:
        """Write a pair unless the key has a value, atomically. True if it was written."""
        plan = self._operations.compare_and_swap(key, None, value, ttl, cf, timeout)
        result: SwapResult = self._run(plan)
        return result.swapped

    def compare_and_swap(
        self,
        key: Buffer,
        old: Buffer | None,
        new: Buffer | None,
        *,
        ttl: float | None = None,
        cf: str | None = None,
        timeout: float | None = None,
    ) -> SwapResult:
        """Write ``new`` if the value is ``old``, atomically; None is absence on either side.

        The result is true if it swapped and tells the value before. Never tried again where its fate is unknown.
        """
        plan = self._operations.compare_and_swap(key, old, new, ttl, cf, timeout)
        result: SwapResult = self._run(plan)
        return result

    def delete(
        self,
        key: Buffer,
        *,
        idempotent: bool | None = None,
        cf: str | None = None,
        timeout: float | None = None,
    ) -> None:
        """Remove a key; removing an absent one succeeds. ``idempotent`` as for put."""
        self._run(self._operations.delete(key, idempotent, cf, timeout))

    # ------------------------------------------------------------ many keys

    def get_many(
        self, keys: Iterable[Buffer], *, cf: str | None = None, timeout: float | None = None
    ) -> list[bytes | None]:
        """The values of many keys: as long as ``keys`` and in their order, None where there is none.

        Not a snapshot: each region answers as of a moment of its own during the call.
        """
        values: list[bytes | None] = self._run(self._operations.get_many(keys, cf, timeout))
        return values

    def get_dict(
        self, keys: Iterable[Buffer], *, cf: str | None = None, timeout: float | None = None
    ) -> dict[bytes, bytes]:
        """The pairs of those keys that have a value, in the order of ``keys``. Not a snapshot, as get_many."""
        pairs: dict[bytes, bytes] = self._run(self._operations.get_dict(keys, cf, timeout))
        return pairs

    def put_many(
        self,
        pairs: Mapping[bytes, Buffer] | Iterable[tuple[Buffer, Buffer]],
        *,
        ttl: float | None = None,
        idempotent: bool | None = None,
        cf: str | None = None,
        timeout: float | None = None,
    ) -> None:
        """Write many pairs, split by region and size and sent side by side. Of a key given twice the last counts.

        Not atomic: after an error some pairs may have been written, others not. ``ttl`` and ``idempotent`` as for put.
        """
        self._run(self._operations.put_many(pairs, ttl, idempotent, cf, timeout))

    def delete_many(
        self,
        keys: Iterable[Buffer],
        *,
        idempotent: bool | None = None,
        cf: str | None = None,
        timeout: float | None = None,
    ) -> None:
        """Remove many keys. Not atomic, as put_many."""
        self._run(self._operations.delete_many(keys, idempotent, cf, timeout))

    # ------------------------------------------------------------ ranges

    def delete_range(
        self,
        start: Buffer | None = None,
        end: Buffer | None = None,
        *,
        prefix: Buffer | None = None,
        idempotent: bool | None = None,
        cf: str | None = None,
        timeout: float | None = None,
    ) -> None:
        """Remove the keys of [start, end), or those with a prefix, region by region. Not atomic, as put_many.

        Something must be said: ``start=b""`` alone removes everything.
        """
        self._run(self._operations.delete_range(start, end, prefix, idempotent, cf, timeout))

    def count(
        self,
        start: Buffer | None = None,
        end: Buffer | None = None,
        *,
        prefix: Buffer | None = None,
        cf: str | None = None,
        timeout: float | None = None,
    ) -> int:
        """How many keys [start, end) has, or a prefix; without both, all. Fetches the keys to count them."""
        rows: int = self._run(self._operations.count(start, end, prefix, cf, timeout))
        return rows

    def checksum(
        self,
        start: Buffer | None = None,
        end: Buffer | None = None,
        *,
        prefix: Buffer | None = None,
        timeout: float | None = None,
    ) -> RangeChecksum:
        """Checksum, number and size of the rows of [start, end), or of a prefix, in column family default.

        Computed where the rows are, for many of them slowly: about 100 us for each in FlareDB. Give it the time.
        """
        result: RangeChecksum = self._run(self._operations.checksum(start, end, prefix, timeout))
        return result

    @overload
    def scan(
        self,
        start: Buffer | None = None,
        end: Buffer | None = None,
        *,
        prefix: Buffer | None = None,
        reverse: bool = False,
        keys_only: Literal[False] = False,
        limit: int | None = None,
        cf: str | None = None,
        timeout: float | None = None,
    ) -> Iterator[Row]: ...

    @overload
    def scan(
        self,
        start: Buffer | None = None,
        end: Buffer | None = None,
        *,
        prefix: Buffer | None = None,
        reverse: bool = False,
        keys_only: Literal[True],
        limit: int | None = None,
        cf: str | None = None,
        timeout: float | None = None,
    ) -> Iterator[bytes]: ...

    def scan(
        self,
        start: Buffer | None = None,
        end: Buffer | None = None,
        *,
        prefix: Buffer | None = None,
        reverse: bool = False,
        keys_only: bool = False,
        limit: int | None = None,
        cf: str | None = None,
        timeout: float | None = None,
    ) -> Iterator[Any]:
        """Iterate over (key, value) of [start, end), or of a prefix, in key order; ``keys_only``: over the keys.

        Lazy: rows are fetched in pages, the next one while you use the last, and splits or moves in between do not
        show. Each page is as of a moment of its own. ``end`` None or b"" is no bound; ``reverse`` goes from the upper
        end down, over the same rows. ``timeout`` is for each page.
        """
        cursor, timeout_ms = self._operations.cursor(start, end, prefix, reverse, keys_only, limit, cf, timeout)
        return SyncScan(lambda: self._begin(self._operations.page(cursor, timeout_ms)), cursor)
