"""Raft messages for regions that are not here yet: kept for a while, because a split may be about to create them.

A replica that is slow to apply a split is asked for its vote, and sent appends, by newcomers that do not exist on its
store. An empty peer made from such a message would hold a range that its parent still owns (traps C2). So the newest
message of each kind is kept, and delivered when the split creates the peer. What does not fit is dropped, as a network
may do; Raft repeats it (docs/adr/0010).
"""

from __future__ import annotations

from collections import OrderedDict

from flaredb.model.ids import PeerId, RegionId
from flaredb.raft import MessageType
from flaredb.raft.types import entry_size_bytes
from flaredb.store.messages import RaftEnvelope

MESSAGES_MAX = 4096
SIZE_BYTES_MAX = 8 * 1024 * 1024

_KEPT = frozenset(
    {
        MessageType.MsgRequestPreVote,
        MessageType.MsgRequestVote,
        MessageType.MsgAppend,
        MessageType.MsgHeartbeat,
    }
)
_Slot = tuple[RegionId, PeerId, MessageType]


class EarlyMessages:
    """Invariants: at most MESSAGES_MAX messages whose entries sum up to at most SIZE_BYTES_MAX; one per region, sender
    and kind, the newest; the oldest make room; every slot of ``_slots_of`` is in ``_kept`` and the other way round.
    """

    __slots__ = ("_kept", "_size_bytes", "_slots_of")

    def __init__(self) -> None:
        self._kept: OrderedDict[_Slot, RaftEnvelope] = OrderedDict()
        self._slots_of: dict[RegionId, dict[_Slot, None]] = {}
        self._size_bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, envelope: RaftEnvelope) -> None:
        """Keep a message, if its kind is worth it, in place of the last one of the same kind from the same sender."""
        kind = envelope.message.msg_type
        size_bytes = _size_bytes(envelope)
        if kind not in _KEPT or size_bytes > SIZE_BYTES_MAX:
            return
        slot = (envelope.region_id, envelope.from_peer, kind)
        if slot in self._kept:
            self._forget(slot)
        self._kept[slot] = envelope
        self._slots_of.setdefault(envelope.region_id, {})[slot] = None
        self._size_bytes += size_bytes
        while len(self._kept) > MESSAGES_MAX or self._size_bytes > SIZE_BYTES_MAX:
            self._forget(next(iter(self._kept)))

    def take(self, region_id: RegionId) -> list[RaftEnvelope]:
        """What came for the region, oldest first; nothing of it is kept."""
        return [self._forget(slot) for slot in list(self._slots_of.get(region_id, ()))]

    def _forget(self, slot: _Slot) -> RaftEnvelope:
        envelope = self._kept.pop(slot)
        slots = self._slots_of[slot[0]]
        del slots[slot]
        if not slots:
            del self._slots_of[slot[0]]
        self._size_bytes -= _size_bytes(envelope)
        return envelope


def _size_bytes(envelope: RaftEnvelope) -> int:
    return sum(entry_size_bytes(entry) for entry in envelope.message.entries)
