"""The ordering contract of a step, and the one function that executes it. Nothing else writes Raft state.

    1  stage term, vote and entries of every touched region into one batch
    2  a leader's appends may leave at once
    3  write the batch; sync it once for all regions
    4  only after the sync: votes, append acknowledgements, the region's own match index
    5  apply up to min(committed, persisted), in the same batch as the applied index
    6  answer clients

Source: Raft section 5, dissertation section 10.2.1 (writing to the leader's disk in parallel), wire facts 3.4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flaredb.engine.base import Engine, WriteBatch
from flaredb.model.commands import Request
from flaredb.model.ids import RegionId
from flaredb.raft import Entry, Ready
from flaredb.store.applier import Applier
from flaredb.store.config import StoreConfig
from flaredb.store.install import begin_install
from flaredb.store.outbox import Outbox
from flaredb.store.peer import Peer, Unsynced
from flaredb.store.raft_storage import RaftStorage
from flaredb.store.reads import on_read_states

READYS_PER_STEP_MAX = 8
"""A region whose Readys keep coming continues in the next step, so that none starves the others."""

OnSoftState = Callable[[Peer], None]


class ReadyStep:
    """Handles the Readys of one step. ``sequence`` names the sync that will make its batch durable."""

    __slots__ = (
        "_appended",
        "_apply_bytes_max",
        "_batch",
        "_engine",
        "_on_soft_state",
        "_outbox",
        "applier",
        "must_sync",
        "sequence",
    )

    def __init__(
        self,
        config: StoreConfig,
        engine: Engine,
        batch: WriteBatch,
        outbox: Outbox,
        sequence: int,
        answer: Callable[[Request, Any], None],
        on_soft_state: OnSoftState,
        may_be_born: Callable[[RegionId], bool],
    ) -> None:
        self._apply_bytes_max = config.apply_size_bytes_max
        self._engine = engine
        self._batch = batch
        self._outbox = outbox
        self.applier = Applier(engine, batch, answer, may_be_born)
        self._on_soft_state = on_soft_state
        self._appended: list[RaftStorage] = []
        """The logs that have grown in this batch."""
        self.sequence = sequence
        self.must_sync = False
        """True once something staged needs a sync before it may be promised."""

    def write(self) -> None:
        """Write the batch. Errors: EngineFailed."""
        if len(self._batch):
            self._engine.write(self._batch)
            for storage in self._appended:
                storage.written()

    def handle(self, peer: Peer) -> bool:
        """Handle what the peer's node has ready. True if more is waiting for the next step."""
        if peer.held_to and peer.fill is None:
            self._apply_held(peer)
            if peer.is_destroyed:
                return False
        node = peer.node
        for _ in range(READYS_PER_STEP_MAX):
            if not node.has_ready():
                return peer.held_to > 0 and peer.fill is None
            self._handle_one(peer, node.ready())
            if peer.is_destroyed:
                return False
        return node.has_ready() or (peer.held_to > 0 and peer.fill is None)

    def _apply_held(self, peer: Peer) -> None:
        """Apply, a slice per step, what was committed while the replica was being filled."""
        high = peer.held_to + 1
        self.applier.apply(peer, peer.storage.entries(peer.applied_index + 1, high, self._apply_bytes_max))
        if peer.applied_index + 1 == high:
            peer.held_to = 0

    def _apply(self, peer: Peer, entries: list[Entry]) -> None:
        if peer.fill is not None or peer.incoming is not None or peer.held_to:
            peer.held_to = entries[-1].index
        else:
            self.applier.apply(peer, entries)

    def _handle_one(self, peer: Peer, ready: Ready) -> None:
        if ready.snapshot is not None:
            self.applier.outcomes.append(begin_install(peer, ready.snapshot, self._batch))
        if ready.entries:
            peer.storage.append(ready.entries, self._batch)
            self._appended.append(peer.storage)
        if ready.hs is not None:
            peer.storage.set_hard_state(ready.hs, self._batch)
        if ready.messages:
            self._outbox.add(peer, ready.messages)
        if ready.read_states:
            on_read_states(peer, ready.read_states)
        peer.node.advance_append_async(ready)
        self._await_sync(peer, ready)
        if ready.committed_entries:
            self._apply(peer, ready.committed_entries)
        if ready.ss is not None and not peer.is_destroyed:
            self._on_soft_state(peer)

    def _await_sync(self, peer: Peer, ready: Ready) -> None:
        if ready.must_sync:
            self.must_sync = True
            peer.unsynced.append(Unsynced(self.sequence, ready.number, peer.applied_index, ready.persisted_messages))
            return
        if not peer.unsynced:
            peer.node.on_persist_ready(ready.number)
            if ready.persisted_messages:
                self._outbox.add(peer, ready.persisted_messages)
            return
        # It leaves with the last that waits; while a sync takes for ever, heartbeats make no further ones.
        last = peer.unsynced[-1]
        last.ready_number, last.applied_index = ready.number, peer.applied_index
        last.messages += ready.persisted_messages

    def on_synced(self, peer: Peer, sequence: int) -> None:
        """Everything up to ``sequence`` is durable: the promises of those Readys may leave."""
        last = 0
        unsynced = peer.unsynced
        while unsynced and unsynced[0].sequence <= sequence:
            done = unsynced.popleft()
            last = done.ready_number
            if done.applied_index > peer.synced_applied_index:
                peer.synced_applied_index = done.applied_index
            if done.messages:
                self._outbox.add(peer, done.messages)
        if last:
            peer.node.on_persist_ready(last)
