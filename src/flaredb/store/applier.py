"""Committed entries become data: one batch of puts and deletes together with the new applied index.

Applying is deterministic: it depends on the entry, the region and the data, never on time or on which replica it is.
Compare-and-swap is decided here, in log order, so it needs no lock and gives every replica the same outcome.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flaredb.engine.base import Engine, WriteBatch
from flaredb.model.commands import (
    COMPARE_AND_SWAP,
    DATA_CFS,
    DELETE,
    DELETE_RANGE,
    PUT,
    CasResult,
    Operation,
    Request,
    Write,
)
from flaredb.model.errors import StaleCommand
from flaredb.model.ids import RegionId
from flaredb.raft import Entry, EntryType
from flaredb.store.commands.conf_change import ChangeApplied, apply_change
from flaredb.store.commands.split import SplitApplied, apply_split
from flaredb.store.install import InstallBegun
from flaredb.store.lifecycle import stage_destruction
from flaredb.store.peer import Peer, Proposal
from flaredb.wire.entries import COMPACT_LOG, SPLIT, WRITE, decode_entry

_NORMAL = EntryType.EntryNormal
SAMPLE_OPERATIONS = 61
"""One put or delete in so many is looked up first; a prime, so that it does not fall in step with a pattern."""

SAMPLE_BYTES = 64 * 1024
"""Or when so much was written since: large values are looked up one by one."""

Answer = Callable[[Request, Any], None]
Outcome = SplitApplied | ChangeApplied | InstallBegun
"""What a batch does to regions, to be made true in memory once it is written."""


class PendingWrites:
    """What the batch of this step will change, for compare-and-swap, which must see it before it is written."""

    __slots__ = ("_engine", "_ranges", "keys")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.keys: dict[tuple[int, bytes], bytes | None] = {}
        """Column family and key to the value put; None: deleted."""
        self._ranges: list[tuple[int, bytes, bytes | None]] = []

    def delete_range(self, cf: int, start: bytes, end: bytes | None) -> None:
        """Note the deletion of [start, end)."""
        for at, key in list(self.keys):
            if at == cf and start <= key and (end is None or key < end):
                self.keys[(at, key)] = None
        self._ranges.append((cf, start, end))

    def get(self, cf: int, key: bytes) -> bytes | None:
        """The value as it will be after the batch so far."""
        if (cf, key) in self.keys:
            return self.keys[(cf, key)]
        for at, start, end in self._ranges:
            if at == cf and start <= key and (end is None or key < end):
                return None
        return self._engine.get(DATA_CFS[cf], key)


class Applier:
    """Applies entries of any number of regions into one batch. One per step."""

    __slots__ = ("_answer", "_batch", "_may_be_born", "_pending", "outcomes", "refused")

    def __init__(
        self, engine: Engine, batch: WriteBatch, answer: Answer, may_be_born: Callable[[RegionId], bool]
    ) -> None:
        """``may_be_born`` tells whether a split may make its replica of a new region here."""
        self._batch = batch
        self._pending = PendingWrites(engine)
        self._answer = answer
        self._may_be_born = may_be_born
        self.outcomes: list[Outcome] = []
        """Staged by this batch, in the order staged; to be finished once it is written."""
        self.refused: list[tuple[Peer, Request]] = []
        """Overtaken by a change of their region; to be told of the regions as they are once splits are finished."""

    def apply(self, peer: Peer, entries: list[Entry]) -> None:
        """Stage the entries and the applied index; answer the requests that proposed them.

        Pre: entries continue at the applied index (asserted). The caller writes the batch before answers leave.
        """
        storage = peer.storage
        for entry in entries:
            index = entry.index
            assert index == peer.applied_index + 1, f"region {peer.region.id}: applied twice or out of order"
            proposal = self._take_proposal(peer, entry) if index in peer.proposals else None
            if entry.data:
                self._apply_entry(peer, entry, proposal)
            elif proposal is not None:
                self._answer_all(proposal, StaleCommand("Raft put an empty entry in the place of the command"))
            if peer.is_destroyed:
                return
            peer.applied_index = storage.apply_state.applied_index = index
        storage.set_apply_state(self._batch)
        peer.node.advance_apply_to(peer.applied_index)

    def _take_proposal(self, peer: Peer, entry: Entry) -> Proposal | None:
        """The proposal that became this entry; others made for its index lost it to this one and are answered."""
        found = None
        for proposal in peer.pop_proposals(entry.index):
            if proposal.term == entry.term:
                found = proposal
                continue
            self._answer_all(proposal, StaleCommand())
        return found

    def _answer_all(self, proposal: Proposal, result: Any) -> None:
        for request in proposal.requests:
            self._answer(request, result)

    def _apply_entry(self, peer: Peer, entry: Entry, proposal: Proposal | None) -> None:
        if entry.entry_type is not _NORMAL:
            self._apply_change(peer, entry, proposal)
            return
        if proposal is not None and proposal.operations:
            self._apply_write(peer, proposal.version, proposal.operations, proposal)
            return
        payload = decode_entry(entry.data)
        if payload[0] == WRITE:
            self._apply_write(peer, payload[1], payload[2], None)
        elif payload[0] == SPLIT:
            self._apply_split(peer, payload, proposal)
        elif payload[0] == COMPACT_LOG:
            peer.storage.compact_to(min(payload[1], peer.synced_applied_index), self._batch)

    def _apply_write(self, peer: Peer, version: int, operations: list[Operation], proposal: Proposal | None) -> None:
        if version != peer.region.epoch.version:
            self._refuse(peer, proposal)
            return
        outcomes = self._apply_operations(peer, operations)
        if proposal is None:
            return
        at = 0
        for request in proposal.requests:
            command = request.command
            assert isinstance(command, Write)
            self._answer(request, outcomes[at])
            at += len(command.operations)

    def _apply_split(self, peer: Peer, payload: list[Any], proposal: Proposal | None) -> None:
        request = proposal.requests[0] if proposal is not None and proposal.requests else None
        applied = apply_split(peer, payload, self._batch, request, self._may_be_born)
        if applied is not None:
            self.outcomes.append(applied)
        else:
            peer.split = None
            self._refuse(peer, proposal)

    def _apply_change(self, peer: Peer, entry: Entry, proposal: Proposal | None) -> None:
        """A replica that is no longer a member goes in this batch; nothing behind the change concerns it."""
        request = proposal.requests[0] if proposal is not None and proposal.requests else None
        applied = apply_change(peer, entry, self._batch, request)
        if applied is None:
            self._refuse(peer, proposal)
            return
        self.outcomes.append(applied)
        if applied.after.peer(peer.meta.id) is None:
            stage_destruction(peer, self._batch)

    def _refuse(self, peer: Peer, proposal: Proposal | None) -> None:
        """The region changed between propose and apply: the entry counts nowhere, on no replica."""
        if proposal is not None:
            self.refused += [(peer, request) for request in proposal.requests]

    def _apply_operations(self, peer: Peer, operations: list[Operation]) -> list[CasResult | None]:
        """Stage them in order; what each is answered.

        Puts are nearly all, so they are staged and counted here, without calls and attributes for each.
        """
        put, noted = self._batch.put, self._pending.keys
        outcomes: list[CasResult | None] = [None] * len(operations)
        puts = size_bytes = 0
        unsampled, unsampled_bytes = peer.unsampled, peer.unsampled_bytes
        for at, operation in enumerate(operations):
            if operation[0] != PUT:
                peer.unsampled, peer.unsampled_bytes = unsampled, unsampled_bytes
                outcomes[at] = self._apply_other(peer, operation)
                unsampled, unsampled_bytes = peer.unsampled, peer.unsampled_bytes
                continue
            _, cf, key, value = operation
            taken_bytes = len(key) + len(value)
            unsampled += 1
            unsampled_bytes += taken_bytes
            if unsampled >= SAMPLE_OPERATIONS or unsampled_bytes >= SAMPLE_BYTES:
                _count_puts(peer, puts, size_bytes)
                puts = size_bytes = 0
                peer.unsampled = unsampled
                self._sample(peer, cf, key)
                unsampled = unsampled_bytes = 0
            put(DATA_CFS[cf], key, value)
            noted[cf, key] = value
            puts += 1
            size_bytes += taken_bytes
        peer.unsampled, peer.unsampled_bytes = unsampled, unsampled_bytes
        _count_puts(peer, puts, size_bytes)
        return outcomes

    def _apply_other(self, peer: Peer, operation: Operation) -> CasResult | None:
        code, cf, key = operation[0], operation[1], operation[2]
        if code == DELETE:
            self._delete(peer, cf, key)
        elif code == DELETE_RANGE:
            self._delete_range(peer, cf, key, operation[3])
        else:
            assert code == COMPARE_AND_SWAP, f"unknown operation {code}"
            return self._compare_and_swap(peer, cf, key, operation[3], operation[4])
        return None

    def _delete(self, peer: Peer, cf: int, key: bytes) -> None:
        peer.unsampled += 1
        peer.unsampled_bytes += len(key)
        if peer.unsampled >= SAMPLE_OPERATIONS or peer.unsampled_bytes >= SAMPLE_BYTES:
            self._sample(peer, cf, key)
        self._batch.delete(DATA_CFS[cf], key)
        self._pending.keys[cf, key] = None

    def _sample(self, peer: Peer, cf: int, key: bytes) -> None:
        """Look now and then what a put or delete takes away; it stands for those since the last look.

        Counts only: what is applied does not depend on it.
        """
        value = self._pending.get(cf, key)
        if value is not None:
            taken_bytes = (len(key) + len(value)) * peer.unsampled
            peer.approximate_size_bytes = max(peer.approximate_size_bytes - taken_bytes, 0)
            peer.approximate_keys = max(peer.approximate_keys - peer.unsampled, 0)
        peer.unsampled = peer.unsampled_bytes = 0

    def _delete_range(self, peer: Peer, cf: int, start: bytes, end: bytes) -> None:
        bound = end or peer.region.end_key or None
        self._batch.delete_range(DATA_CFS[cf], start, bound)
        self._pending.delete_range(cf, start, bound)
        peer.is_miscounted = True

    def _compare_and_swap(
        self, peer: Peer, cf: int, key: bytes, expected: bytes | None, value: bytes | None
    ) -> CasResult:
        current = self._pending.get(cf, key)
        if current != expected:
            return CasResult(False, current)
        if value is not None:
            self._apply_operations(peer, [(PUT, cf, key, value)])
        elif current is not None:
            self._delete(peer, cf, key)
        return CasResult(True, current)


def _count_puts(peer: Peer, puts: int, size_bytes: int) -> None:
    """Keys and values together; that some replace others is what samples are for."""
    traffic = peer.traffic
    traffic.keys_written += puts
    traffic.bytes_written += size_bytes
    peer.approximate_size_bytes += size_bytes
    peer.grown_bytes += size_bytes
    peer.approximate_keys += puts
