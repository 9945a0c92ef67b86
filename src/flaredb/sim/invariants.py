"""What must hold of a cluster at every moment, looked at after every step.

Each rule names its source: [R] Ongaro and Ousterhout, In Search of an Understandable Consensus Algorithm, figure 3.
A broken one is a Violation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from zlib import crc32

from flaredb.model.cluster import SplitIds
from flaredb.model.commands import BatchGet, Get, Request
from flaredb.model.errors import RegionError
from flaredb.model.ids import PeerId, RegionId
from flaredb.model.orders import ChangePeers, RegionOrder
from flaredb.model.region import PeerRole, Region, RegionEpoch
from flaredb.pd.core import PdCore
from flaredb.raft import Compacted, Configuration, MessageType
from flaredb.raft import check_invariants as check_raft
from flaredb.sim.quorum import QuorumRule
from flaredb.sim.world import Violation, World
from flaredb.store.invariants import check_members, check_peer, check_store
from flaredb.store.messages import Beat, Effect, RaftEnvelope, SendRaft
from flaredb.store.peer import Peer
from flaredb.store.store import Store

if TYPE_CHECKING:
    from flaredb.sim.store_node import StoreNode

PeerKey = tuple[RegionId, PeerId]
_ACK = MessageType.MsgAppendResponse
_VOTE = MessageType.MsgRequestVoteResponse
_PROMISES = (_ACK, _VOTE)
_LEARNER = PeerRole.LEARNER
_VOTER = PeerRole.VOTER


class Invariants:
    """Remembers what was promised, over all lives of all stores."""

    def __init__(self, world: World, check_every: int) -> None:
        self._world = world
        self._check_every = check_every
        self._steps = 0
        self._leaders: dict[tuple[RegionId, int], PeerId] = {}
        self._newest_term: dict[RegionId, int] = {}
        """In which a replica has led."""
        self._applied: dict[RegionId, dict[int, tuple[int, int]]] = {}
        """Per region: index -> (term, checksum) of the entry that some replica applied there."""
        self._applied_last: dict[RegionId, int] = {}
        self._votes: dict[tuple[RegionId, PeerId, int], PeerId] = {}
        self._last_vote: dict[PeerKey, tuple[int, PeerId]] = {}
        self._last_ack: dict[PeerKey, tuple[int, int]] = {}
        """(term, index) of the newest acknowledgement that left."""
        self._acked: dict[PeerKey, int] = {}
        self._quorum = QuorumRule(self._acked)
        self._seen_applied: dict[PeerKey, int] = {}
        """Of the lives that go on."""
        self._seen_epoch: dict[PeerKey, RegionEpoch] = {}
        self._seen_conf: dict[PeerKey, Configuration] = {}
        self._peers_of: dict[str, set[PeerKey]] = {}
        self._gone: dict[str, set[PeerKey]] = {}
        self._regions_before: set[RegionId] | None = None
        self._regions: set[RegionId] = set()
        self._first_roles: dict[PeerId, PeerRole] = {}
        self._joined: set[PeerId] = set()
        """Replicas that came as learners and vote."""
        self._granted: set[int] = set()
        """Ids that PD gave to splits."""
        self._ordered: set[tuple[RegionId, int]] = set()
        """(region, conf_ver) for which somebody ordered a change of members."""
        self._pd_epochs: dict[RegionId, RegionEpoch] = {}

    # ------------------------------------------------ what has been seen

    def begin_count(self) -> None:
        """Splits and moves count from here on."""
        self._regions_before = set(self._regions)
        self._joined.clear()

    @property
    def splits(self) -> int:
        """Regions born since."""
        return len(self._regions - (self._regions_before or self._regions))

    @property
    def moves(self) -> int:
        """Replicas that joined their region and became voters since."""
        return len(self._joined)

    def _note_region(self, region: Region) -> None:
        self._regions.add(region.id)
        for peer in region.peers:
            if self._first_roles.setdefault(peer.id, peer.role) is _LEARNER and peer.role is _VOTER:
                self._joined.add(peer.id)

    # ------------------------------------------------ stores

    def after_start(self, node: StoreNode, store: Store) -> None:
        """A store has loaded its disk: what it promised before must be there."""
        for peer in store.peers.values():
            self._follow(node, peer)

    def _follow(self, node: StoreNode, peer: Peer) -> None:
        """A replica is seen for the first time in this life of its store: what it promised before must be there."""
        key = (peer.region.id, peer.meta.id)
        if key in self._gone.get(node.name, ()):
            raise Violation(f"{node.name} region {key[0]}: peer {key[1]}, which was destroyed, is back")
        hard = peer.storage.hard_state
        vote = self._last_vote.get(key)
        if vote is not None and (hard.term < vote[0] or (hard.term == vote[0] and hard.vote != vote[1])):
            raise Violation(
                f"{node.name} region {key[0]}: voted for {vote[1]} in term {vote[0]}, but its disk knows term "
                f"{hard.term} and vote {hard.vote}"
            )
        ack = self._last_ack.get(key)
        if ack is not None and (hard.term < ack[0] or (hard.term == ack[0] and peer.storage.last < ack[1])):
            raise Violation(
                f"{node.name} region {key[0]}: acknowledged entry {ack[1]} in term {ack[0]}, but its disk ends at "
                f"{peer.storage.last} in term {hard.term}"
            )
        self._seen_applied[key] = peer.applied_index
        self._seen_epoch[key] = peer.region.epoch
        self._seen_conf[key] = peer.node.raft.prs.conf
        check_members(peer)
        self._note_region(peer.region)
        self._peers_of.setdefault(node.name, set()).add(key)

    def after_death(self, node: StoreNode) -> None:
        """What was not synced may be gone: only promises are remembered."""
        for key in self._peers_of.pop(node.name, ()):
            del self._seen_applied[key], self._seen_epoch[key], self._seen_conf[key]
        self._gone.pop(node.name, None)

    def after_step(self, node: StoreNode, store: Store, effects: list[Effect]) -> None:
        """Everything that one step may have broken. Effects are not performed yet."""
        self._steps += 1
        if len(store.peers) < len(self._peers_of.get(node.name, ())):
            self._check_gone(node, store)
        if self._steps % self._check_every == 0:
            check_store(store)
            for peer in store.peers.values():
                check_raft(peer.node)
                self._check_peer(node, peer)
        else:
            for region_id in store.handled:
                peer_here = store.peers.get(region_id)
                if peer_here is not None:
                    self._check_peer(node, peer_here)
        self.check_promises(node, effects)

    def check_promises(self, node: StoreNode, effects: list[Effect]) -> None:
        """What leaves is on the disk, and contradicts nothing that left before."""
        for effect in effects:
            if isinstance(effect, SendRaft):
                for envelope in effect.envelopes:
                    # The answer to a heartbeat, and so a beat, promises nothing.
                    if type(envelope) is not Beat and envelope.message.msg_type in _PROMISES:
                        self._check_promise(node, envelope)

    def _check_peer(self, node: StoreNode, peer: Peer) -> None:
        key = (peer.region.id, peer.meta.id)
        seen = self._seen_applied.get(key)
        if seen is None:
            self._follow(node, peer)
            self._check_applied(node, peer, peer.storage.apply_state.truncated_index)
        elif seen != peer.applied_index:
            check_peer(peer)
            self._check_applied(node, peer, seen)
            self._seen_applied[key] = peer.applied_index
        if peer.is_leader:
            self._check_leader(node, peer)
            self._quorum.check(node, peer)
        if peer.region.epoch is not self._seen_epoch[key] or peer.node.raft.prs.conf is not self._seen_conf[key]:
            self._check_epoch(node, peer, key)
            self._seen_conf[key] = peer.node.raft.prs.conf
            check_members(peer)

    def _check_gone(self, node: StoreNode, store: Store) -> None:
        """A replica that was destroyed does not come back in the same life (a power cut may take the end back)."""
        here = {(peer.region.id, peer.meta.id) for peer in store.peers.values()}
        for key in self._peers_of[node.name] - here:
            self._peers_of[node.name].discard(key)
            del self._seen_applied[key], self._seen_epoch[key], self._seen_conf[key]
            self._gone.setdefault(node.name, set()).add(key)

    def _check_applied(self, node: StoreNode, peer: Peer, seen: int) -> None:
        """State machine safety [R]: an index holds the same entry wherever it is applied. And nothing is applied
        before it is durable here and committed; a snapshot that is being installed serves nothing yet.
        """
        region_id, log = peer.region.id, peer.node.raft.raft_log
        durable = max(log.persisted, peer.storage.apply_state.truncated_index)
        if peer.applied_index > min(log.committed, durable):
            raise Violation(
                f"{node.name} region {region_id}: applied {peer.applied_index}, but committed {log.committed} and "
                f"persisted {log.persisted}"
            )
        if peer.applied_index < seen:
            raise Violation(f"{node.name} region {region_id}: applied goes back from {seen} to {peer.applied_index}")
        first = max(seen, peer.storage.apply_state.truncated_index) + 1
        if first > peer.applied_index:
            return
        known = self._applied.setdefault(region_id, {})
        for entry in peer.storage.entries(first, peer.applied_index + 1, None):
            fact = (entry.term, crc32(entry.data))
            if known.setdefault(entry.index, fact) != fact:
                raise Violation(
                    f"{node.name} region {region_id}: applies another entry {entry.index} (term {entry.term}) than a "
                    f"replica before it (term {known[entry.index][0]})"
                )
        self._applied_last[region_id] = max(self._applied_last.get(region_id, 0), peer.applied_index)

    def _check_leader(self, node: StoreNode, peer: Peer) -> None:
        """Election safety and leader completeness [R]; no lease outlives the election of another leader."""
        leadership = (peer.region.id, peer.term)
        newest = self._newest_term.get(peer.region.id, 0)
        if peer.term >= newest:
            self._newest_term[peer.region.id] = peer.term
        elif peer.node.raft.in_lease() and not node.cluster.drift.taints(self._world.now_us):
            raise Violation(
                f"{node.name} region {peer.region.id}: the lease of term {peer.term} is valid, but term {newest} has a "
                "leader"
            )
        known = self._leaders.get(leadership)
        if known == peer.meta.id:
            return
        if known is not None:
            raise Violation(
                f"region {leadership[0]}: peer {peer.meta.id} on {node.name} leads in term {peer.term}, and so did "
                f"peer {known}"
            )
        self._leaders[leadership] = peer.meta.id
        last = self._applied_last.get(peer.region.id, 0)
        if not last:
            return
        log = peer.node.raft.raft_log
        applied_term = self._applied[peer.region.id][last][0]
        try:
            term = log.term(last) if last <= log.last_index() else 0
        except Compacted:
            return
        if applied_term <= peer.term and term != applied_term:
            raise Violation(
                f"{node.name} leads region {peer.region.id} in term {peer.term} without entry {last} of term "
                f"{applied_term}, which a replica has applied"
            )

    def _check_epoch(self, node: StoreNode, peer: Peer, key: PeerKey) -> None:
        before, now = self._seen_epoch[key], peer.region.epoch
        if now.conf_ver > before.conf_ver > 0 and (key[0], before.conf_ver) not in self._ordered:
            raise Violation(
                f"{node.name} region {key[0]}: its members change from conf_ver {before.conf_ver}, for which nobody "
                "ordered a change"
            )
        if now.is_older_than(before):
            raise Violation(f"{node.name} region {key[0]}: its epoch goes back from {before} to {now}")
        self._seen_epoch[key] = now
        self._note_region(peer.region)

    def _check_promise(self, node: StoreNode, envelope: RaftEnvelope) -> None:
        """One vote per term [R]; and what leaves is remembered, to be looked for after a crash."""
        message = envelope.message
        if message.reject:
            return
        key = (envelope.region_id, envelope.from_peer)
        if message.msg_type is _ACK:
            self._last_ack[key] = (message.term, message.index)
            self._acked[key] = max(self._acked.get(key, 0), message.index)
        elif message.msg_type is _VOTE:
            vote = (*key, message.term)
            if self._votes.setdefault(vote, envelope.to_peer) != envelope.to_peer:
                raise Violation(
                    f"{node.name} region {key[0]}: votes for peer {envelope.to_peer} in term {message.term}, after it "
                    f"voted for peer {self._votes[vote]}"
                )
            self._last_vote[key] = (message.term, envelope.to_peer)

    def after_answer(self, node: StoreNode, request: Request, result: object) -> None:
        """Keys are read in the region that was asked for, with the range it had then. Pre: the step has just ended."""
        if node.store is None or isinstance(result, RegionError) or not isinstance(request.command, Get | BatchGet):
            return
        peer = node.store.peers.get(request.region_id)
        now = peer.region.epoch.version if peer is not None else None
        if now != request.version:
            raise Violation(
                f"{node.name} region {request.region_id}: reads for version {request.version} of the range, which is "
                f"version {now} now"
            )

    # ------------------------------------------------ PD

    def after_order(self, order: RegionOrder) -> None:
        """Somebody orders a leader to do something with its region as it is at one epoch, and at no other."""
        if isinstance(order.step, ChangePeers):
            self._ordered.add((order.region_id, order.epoch.conf_ver))

    def after_pd_step(self, core: PdCore) -> None:
        """Region epochs never go back in PD's eyes while it lives."""
        known = self._pd_epochs
        for record in core.regions:
            region = record.region
            before = known.get(region.id)
            if before is not region.epoch:
                if before is not None and region.epoch.is_older_than(before):
                    raise Violation(f"PD: the epoch of region {region.id} goes back from {before} to {region.epoch}")
                known[region.id] = region.epoch

    def after_grant(self, granted: Sequence[SplitIds]) -> None:
        """Ids are never handed out twice, over all lives of PD."""
        for new in granted:
            for number in (new.region_id, *new.peer_ids):
                if number in self._granted:
                    raise Violation(f"PD hands out the id {number} twice")
                self._granted.add(number)

    def after_pd_death(self) -> None:
        """What stores report is kept without a sync, so a power cut may take it back."""
        self._pd_epochs.clear()
