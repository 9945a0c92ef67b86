"""Five stores under random faults while regions split and their replicas move, from one seed.

PD is played by chance: orders, sensible and not, go to whoever leads. After every step the stores' invariants hold, and
no two replicas lead one region in one term. One writer a key writes rising numbers, as in test_random_store. After the
faults every region has one leader, its members hold the same rows, nobody else has a replica or a row of it, the
regions tile the key space, and every acknowledged write is there.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from flaredb.model.commands import Get
from flaredb.model.errors import RegionError
from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.model.orders import (
    ChangeKind,
    ChangePeers,
    PeerChange,
    RegionOrder,
    SplitOrder,
    SplitPolicy,
    TransferLeader,
)
from flaredb.model.region import Peer, PeerRole, Region
from flaredb.store.config import StoreConfig
from flaredb.store.messages import CheckRegion, Effect, OrderReceived, SendSnapshot, SnapshotReceived, SnapshotSent
from tests.store.harness import Cluster, Node, cut_chunks, put, region
from tests.store.test_random_store import FaultyCluster, Workload, run_for_long, run_seeds

STORES = 5
KEYS = (b"a", b"g", b"m", b"t", b"z")
BORDERS = tuple(bytes([letter]) for letter in range(ord("b"), ord("z")))
ROUNDS = 500
JOINT = (PeerRole.INCOMING_VOTER, PeerRole.DEMOTING_VOTER)


class MovingCluster(FaultyCluster):
    """A faulty cluster whose regions split and move by chance."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.order_chance = self.rng.choice((0.05, 0.15, 0.4))
        self.last_peer_id = 10_000
        self.snapshots_carried = 0
        self.leaders: dict[tuple[int, int], PeerId] = {}
        """Who led, by region and term."""

    def build(self, seed: int, config: StoreConfig) -> None:
        Cluster.__init__(self, (region(1, b"", b"m"), region(2, b"m", b"", stores=(2, 3, 1))), STORES, config, seed)

    def settings(self) -> dict[str, Any]:
        return {
            "log_count_max": self.rng.choice((8, 40, 10_000)),
            "snapshot_retry_ms": self.rng.choice((10, 200)),
            "fill_slice_bytes": self.rng.choice((1, 30, 1 << 20)),
            "bulk_load_bytes_min": self.rng.choice((0, 100, 1 << 20)),
            "leader_missing_ms": 600,
            "region_split_size_bytes": 0,
        }

    def _perform(self, node: Node, effect: Effect) -> None:
        if isinstance(effect, SendSnapshot):
            chunks = cut_chunks(effect)
            self.snapshots_carried += 1
            self._later(self.rng.choice((0, 5, 60)), lambda: self._arrive(node, effect, chunks))
        elif isinstance(effect, CheckRegion) and self.rng.random() < self.loss:
            return
        else:
            super()._perform(node, effect)

    def _arrive(self, node: Node, effect: SendSnapshot, chunks: list[bytes]) -> None:
        envelope = effect.envelope
        receiver = self.nodes[effect.to_store]
        is_cut = {envelope.from_store, envelope.to_store} & self.cut
        arrives = receiver.alive and not is_cut and self.rng.random() >= self.loss
        arrives = arrives and receiver.store.snapshot_refusal(envelope) is None
        if arrives:
            receiver.inbox.append(SnapshotReceived(envelope, receiver.files.save(chunks)))
        if node.alive and node is self.nodes[node.id]:
            told = arrives and self.rng.random() >= self.loss
            node.inbox.append(SnapshotSent(envelope.region_id, envelope.to_peer, told))

    # ------------------------------------------------ PD, by chance

    def pd_acts(self) -> None:
        """Maybe give one order to one leader."""
        if self.rng.random() >= self.order_chance:
            return
        leaders = [
            (node, peer)
            for node in self.live()
            for _, peer in sorted(node.store.peers.items())
            if peer.is_leader and peer.is_initialised
        ]
        if not leaders:
            return
        node, peer = self.rng.choice(leaders)
        step = self._step(peer.region)
        if step is not None:
            node.inbox.append(OrderReceived(RegionOrder(peer.region.id, peer.region.epoch, peer.meta, step)))

    def _step(self, found: Region) -> ChangePeers | TransferLeader | SplitOrder | None:
        rng = self.rng
        if any(peer.role in JOINT for peer in found.peers):
            return ChangePeers(()) if rng.random() < 0.7 else TransferLeader((rng.choice(found.peers),))
        kind = rng.choice(("grow", "promote", "promote", "shrink", "transfer", "split", "joint"))
        learners = [peer for peer in found.peers if peer.role is PeerRole.LEARNER]
        voters = [peer for peer in found.peers if peer.role is PeerRole.VOTER]
        if kind == "grow" and len(found.peers) < 4:
            return ChangePeers((self._newcomer(found),))
        if kind == "promote" and learners:
            return ChangePeers((PeerChange(ChangeKind.ADD_NODE, rng.choice(learners)),))
        if kind == "shrink" and (len(voters) > 3 or learners):
            return ChangePeers((PeerChange(ChangeKind.REMOVE_NODE, rng.choice(found.peers)),))
        if kind == "transfer":
            return TransferLeader((rng.choice(found.peers),))
        if kind == "split" and len(self.regions_known()) < 8:
            return SplitOrder(SplitPolicy.USEKEY, (rng.choice(BORDERS),))
        if kind == "joint" and learners:
            swap = (PeerChange(ChangeKind.ADD_NODE, learners[0]),)
            return ChangePeers((*swap, PeerChange(ChangeKind.ADD_LEARNER_NODE, rng.choice(voters))))
        return None

    def _newcomer(self, found: Region) -> PeerChange:
        self.last_peer_id += 1
        taken = {peer.store_id for peer in found.peers}
        free = [StoreId(number) for number in range(1, STORES + 1) if number not in taken]
        return PeerChange(ChangeKind.ADD_LEARNER_NODE, Peer(PeerId(self.last_peer_id), self.rng.choice(free)))

    # ------------------------------------------------ what is true

    def regions_known(self) -> dict[int, Region]:
        """Every region by id, as its furthest replica has it, on stores that run or not."""
        found: dict[int, Region] = {}
        for node in self.nodes.values():
            for peer in node.store.peers.values():
                best, mine = found.get(peer.region.id), peer.region
                if mine.peers and (best is None or (mine.epoch.version, mine.epoch.conf_ver) > _order(best)):
                    found[peer.region.id] = mine
        return found

    def owner(self, key: bytes) -> Region:
        """The newest region that holds a key."""
        holders = [found for found in self.regions_known().values() if found.contains(key)]
        return max(holders, key=lambda found: found.epoch.version)

    def check_leaders(self) -> None:
        """Election safety: one leader per region and term."""
        for node in self.live():
            for peer in node.store.peers.values():
                if peer.is_leader:
                    first = self.leaders.setdefault((peer.region.id, peer.term), peer.meta.id)
                    assert first == peer.meta.id, f"region {peer.region.id} has two leaders in term {peer.term}"


def _order(found: Region) -> tuple[int, int]:
    return found.epoch.version, found.epoch.conf_ver


class MovingWorkload(Workload):
    """The same, of keys whose regions change all the time."""

    def __init__(self, cluster: MovingCluster) -> None:
        super().__init__(cluster, KEYS)
        self.moving = cluster

    def owner(self, key: bytes) -> Region:
        return self.moving.owner(key)


def run(seed: int) -> Counter[str]:
    """One run; an AssertionError names what broke. Reproduce it by ``run(seed)``."""
    cluster = MovingCluster(seed)
    workload = MovingWorkload(cluster)
    for _ in range(ROUNDS):
        cluster.disturb()
        cluster.pd_acts()
        cluster.round(cluster.rng.choice((1, 5, 10)))
        cluster.check_leaders()
        if not cluster.is_calm():
            workload.step()
        workload.outcomes["asleep"] += cluster.sleepers()
    workload.outcomes["snapshots"] = cluster.snapshots_carried
    cluster.heal()
    settle(cluster)
    for key in KEYS:
        floor = workload.registers[key].floor
        workload.see(key, insist(cluster, key, Get(0, key)), floor)
        last = b"%d" % (workload.registers[key].asked + 1)
        assert insist(cluster, key, put(key, last)) is None
    cluster.run_until(lambda: all_agree(cluster), limit_ms=20_000)
    workload.outcomes["read by lease"] += cluster.count_reads_by_lease()
    return workload.outcomes


def settle(cluster: MovingCluster) -> None:
    """Leave every joint configuration and wait for a leader everywhere."""

    def settled() -> bool:
        for found in cluster.regions_known().values():
            leader = cluster.leader_of(found.id)
            if leader is None:
                return False
            peer = leader.store.peers[RegionId(found.id)]
            if any(meta.role in JOINT for meta in peer.region.peers):
                heirs = tuple(meta for meta in peer.region.peers if meta.role is PeerRole.VOTER)
                step = TransferLeader(heirs) if peer.meta.role is PeerRole.DEMOTING_VOTER else ChangePeers(())
                leader.inbox.append(OrderReceived(RegionOrder(found.id, peer.region.epoch, peer.meta, step)))
                return False
        return True

    cluster.run_until(settled, limit_ms=20_000)


def insist(cluster: MovingCluster, key: bytes, command: Any) -> Any:
    """The call's answer, asked again while leadership still moves; a healed cluster must answer soon."""
    answer: Any = None
    for _ in range(30):
        found = cluster.owner(key)
        answer = cluster.call(cluster.await_leader(found.id), found, command)
        if not isinstance(answer, RegionError):
            return answer
    raise AssertionError(f"no answer after healing: {answer}")


def all_agree(cluster: MovingCluster) -> bool:
    """True when exactly the members of each region hold it, equally far and with the same rows, and nothing else."""
    regions = cluster.regions_known()
    in_order = sorted(regions.values(), key=lambda found: found.start_key)
    assert in_order[0].start_key == in_order[-1].end_key == b""
    assert all(left.end_key == right.start_key for left, right in pairwise(in_order)), in_order
    expected: dict[int, list[Any]] = {number: [] for number in cluster.nodes}
    for found in in_order:
        members = {peer.store_id: peer.id for peer in found.peers}
        here = {node.id: node.store.peers[found.id] for node in cluster.live() if found.id in node.store.peers}
        if {store: peer.meta.id for store, peer in here.items()} != members:
            return False
        if len({peer.applied_index for peer in here.values()}) != 1 or any(peer.fill for peer in here.values()):
            return False
        contents = [_rows(cluster.nodes[store], found) for store in here]
        assert all(content == contents[0] for content in contents), f"replicas of region {found.id} differ"
        for store in here:
            expected[store] += contents[0]
    for number in cluster.nodes:
        assert cluster.rows(number) == expected[number], f"store {number} holds rows of no region of it"
    return not any(node.files.files for node in cluster.live())


def _rows(node: Node, found: Region) -> list[tuple[bytes, bytes]]:
    return list(node.engine.scan("default", found.start_key, found.end_key or None))


@pytest.mark.parametrize("first", range(0, 80, 10))
def test_random_moves(first: int) -> None:
    outcomes = run_seeds(run, range(first, first + 10))
    assert outcomes["write: done"] > 300, outcomes
    assert outcomes["read: done"] > 200, outcomes
    assert outcomes["snapshots"] > 10, outcomes
    assert outcomes["asleep"] > 50, outcomes
    assert outcomes["read by lease"] > 100, outcomes


@pytest.mark.soak
def test_random_moves_for_long() -> None:
    print(f"{run_for_long(run)} seeds of five stores with moves under random faults, no violation")
