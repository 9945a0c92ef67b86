"""Where other stores take Raft messages: PD's answer, remembered for when PD is away (wire facts 4.9)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from flaredb.model.cluster import NodeState, StoreMeta, StoreState
from flaredb.model.ids import StoreId
from flaredb.rpc.pd import PdRefused, PdStoreTombstone, PdUnavailable

FRESH_MS = 1_000
ASK_TIMEOUT_MS = 1_000


@dataclass(slots=True)
class _Known:
    address: str
    learned_at_s: float


class StoreAddresses:
    """Peer addresses by store id. Asks PD at most once per ``fresh_ms`` and store, however often it is asked."""

    def __init__(self, get_store: Callable[[StoreId], Awaitable[StoreMeta]], fresh_ms: int = FRESH_MS) -> None:
        self._get_store = get_store
        self._fresh_ms = fresh_ms
        self._known: dict[StoreId, _Known] = {}

    async def resolve(self, store_id: StoreId) -> str:
        """host:port for Raft messages to ``store_id``; the last known one while PD does not answer.

        Errors: PdStoreTombstone for a removed store; PdRefused for an unknown one; PdUnavailable if PD does not answer
        and nothing is known.
        """
        now_s = asyncio.get_running_loop().time()
        known = self._known.get(store_id)
        if known is not None and now_s - known.learned_at_s < self._fresh_ms / 1000:
            return known.address
        try:
            async with asyncio.timeout(ASK_TIMEOUT_MS / 1000):
                store = await self._get_store(store_id)
        except (PdUnavailable, TimeoutError) as error:
            if known is None:
                raise PdUnavailable(f"the address of store {store_id} is not known: PD does not answer") from error
            return known.address
        except (PdRefused, PdStoreTombstone):
            self._known.pop(store_id, None)
            raise
        return self._learn(store, now_s)

    def _learn(self, store: StoreMeta, now_s: float) -> str:
        if store.state is StoreState.TOMBSTONE or store.node_state is NodeState.REMOVED:
            self._known.pop(store.id, None)
            raise PdStoreTombstone(f"store {store.id} was removed from the cluster")
        address = store.peer_address or store.address
        self._known[store.id] = _Known(address, now_s)
        return address
