"""No change of members may leave a region without a quorum: the rule as it is in truth, not as a leader believes it.

When a leader takes such a change into its log, then of the voters to come, in both halves while joint, a majority must
be replicas that hold the log, durably and so far that the leader can bring them up to date, on stores that live or died
so lately that the leader cannot know. Whoever dies afterwards is bad luck; who was dead or empty before is a mistake.

Source: dissertation sections 4.2.1 and 4.2.2; what a leader itself looks at is in store/commands/conf_change.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from flaredb.model.ids import PeerId, RegionId
from flaredb.model.region import Peer as PeerMeta
from flaredb.raft import EntryType, decode_conf_change_v2, majority
from flaredb.sim.world import MS, SECOND, Violation
from flaredb.store.commands.conf_change import change_region
from flaredb.store.peer import Peer
from flaredb.store.roles import conf_state_of
from flaredb.wire.entries import decode_change_peers

if TYPE_CHECKING:
    from flaredb.sim.store_node import StoreNode

ELECTIONS = 3
"""For so many election timeouts a leader may take a dead store for alive: two by its clock, which may be slow."""

Acks = Mapping[tuple[RegionId, PeerId], int]
"""The highest index that each replica ever acknowledged."""


class QuorumRule:
    """Looks at every change of members once, when its leader has just taken it into the log."""

    def __init__(self, acks: Acks) -> None:
        self._acks = acks
        self._seen: dict[tuple[RegionId, PeerId], tuple[int, int]] = {}
        self._truncated: dict[tuple[RegionId, PeerId], int] = {}
        """How far each leader's log was compacted when it was looked at last."""

    def check(self, node: StoreNode, peer: Peer) -> None:
        """Raise Violation if the newest change of this leader is a mistake. Called after every step of a leader."""
        raft = peer.node.raft
        newest = (raft.term, raft.pending_conf_index)
        key = (peer.region.id, peer.meta.id)
        truncated = peer.storage.apply_state.truncated_index
        # A leader may take a change and then compact its log in one step: it judged by the log that it had.
        held_from = min(truncated, self._truncated.get(key, truncated))
        self._truncated[key] = truncated
        if self._seen.get(key) == newest:
            return
        self._seen[key] = newest
        log = raft.raft_log
        if not raft.has_pending_conf() or raft.pending_conf_index > log.last_index():
            return
        (entry,) = log.slice(raft.pending_conf_index, raft.pending_conf_index + 1, None)
        if entry.entry_type is not EntryType.EntryConfChangeV2 or entry.term != raft.term:
            return
        epoch, wanted = decode_change_peers(decode_conf_change_v2(entry.data).context)
        if epoch.conf_ver != peer.region.epoch.conf_ver:
            return
        after = change_region(peer.region, wanted)
        before, now = conf_state_of(peer.region), conf_state_of(after)
        if (before.voters, before.voters_outgoing) == (now.voters, now.voters_outgoing):
            return
        metas = {meta.id: meta for meta in after.peers}
        unfit_for = partial(self._unfit, node, peer, held_from)
        for half in filter(None, (now.voters, now.voters_outgoing)):
            unfit = [f"{peer_id} {why}" for peer_id in half if (why := unfit_for(metas[PeerId(peer_id)]))]
            if len(half) - len(unfit) < majority(len(half)):
                raise Violation(
                    f"region {peer.region.id}: peer {peer.meta.id} on {node.name} changes its members to voters {half} "
                    f"without a quorum: {', '.join(unfit)}"
                )

    def _unfit(self, node: StoreNode, leader: Peer, held_from: int, meta: PeerMeta) -> str:
        """Why a voter to come does not count; "" if it does. The leader's log went back to ``held_from``."""
        if meta.id == leader.meta.id:
            return ""
        ack = self._acks.get((leader.region.id, meta.id))
        if ack is None or ack < held_from:
            return "is empty" if ack is None else f"ends at {ack}, below the log"
        store = node.cluster.find(meta.store_id)
        if store is None or store not in node.cluster.stores:
            return "has no store"
        config, weather, now_us = node.cluster.options.store, node.cluster.options.weather, node.world.now_us
        unknown_us = ELECTIONS * config.election_ticks * config.tick_ms * MS + weather.straggler_us_max + 2 * SECOND
        if store.is_up or now_us - store.died_us < unknown_us or now_us - node.last_paused_us < unknown_us:
            return ""
        return f"is dead since {(now_us - store.died_us) // MS} ms"
