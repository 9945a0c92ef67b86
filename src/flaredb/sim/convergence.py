"""What must come true once faults are over: convergence, service, durability.

Convergence: PD's regions tile the key space; each has one leader that all its replicas follow, all have applied the
same and hold the same rows, and no store has a replica that PD does not know. Service: every key can be read and one
of each region written. Durability: what the reads see is judged together with the whole history.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from zlib import crc32

from flaredb.model.commands import DATA_CFS
from flaredb.model.errors import ConfigError
from flaredb.model.layout import validate_layout
from flaredb.model.region import PeerRole, Region
from flaredb.sim.history import Outcome
from flaredb.sim.workload import SimClient
from flaredb.sim.world import SECOND, Violation
from flaredb.store.invariants import check_store
from flaredb.store.peer import Peer

if TYPE_CHECKING:
    from flaredb.sim.cluster import SimCluster
    from flaredb.sim.store_node import StoreNode

LOOK_EVERY_US = SECOND // 5
READERS = 8


class Convergence:
    """Watches a healed cluster until all is well, or time is up."""

    def __init__(self, cluster: SimCluster) -> None:
        self.cluster = cluster
        self.world = cluster.world
        self._trouble = "not looked at yet"

    def run(self) -> None:
        """Errors: Violation for what did not come true in time."""
        limit_us = self.world.now_us + self.cluster.options.heal_seconds * SECOND
        self._await(limit_us, self.trouble)
        self._serve(limit_us)
        self._await(limit_us + 10 * SECOND, self.trouble)
        self._compare_rows()

    def _await(self, limit_us: int, trouble: Callable[[], str]) -> None:
        while True:
            self._trouble = trouble()
            if not self._trouble:
                return
            if self.world.now_us >= limit_us:
                raise Violation(f"not healed within {self.cluster.options.heal_seconds} s: {self._trouble}")
            self.world.run_until(self.world.now_us + LOOK_EVERY_US)

    # ------------------------------------------------ convergence

    def trouble(self) -> str:
        """What is not well yet; empty if nothing."""
        core = self.cluster.pd.core
        if core is None:
            return "PD is down"
        for node in self.cluster.stores:
            if node.store is None:
                return f"{node.name} is down"
            check_store(node.store)
        regions = [record.region for record in core.regions]
        try:
            validate_layout(regions, {node.store_id for node in self.cluster.stores})
        except ConfigError as error:
            return f"PD's regions: {error}"
        for region in regions:
            wrong = self._region_trouble(region)
            if wrong:
                return f"region {region.id}: {wrong}"
        voters = min(self.cluster.options.replicas, len(self.cluster.stores))
        for region in regions:
            if [peer.role for peer in region.peers] != [PeerRole.VOTER] * voters:
                return f"region {region.id} should have {voters} voters and nobody else: {region.peers}"
        return self._orphans(regions)

    def _region_trouble(self, region: Region) -> str:
        peers = []
        for meta in region.peers:
            peer = self._peer(region, meta.store_id)
            if peer is None:
                return f"no replica on store {meta.store_id}"
            if peer.region != region:
                return f"store {meta.store_id} has {peer.region}, PD has {region}"
            peers.append(peer)
        leaders = [peer for peer in peers if peer.is_leader]
        if len(leaders) != 1:
            return f"{len(leaders)} leaders"
        leader = leaders[0]
        followed = {peer.node.raft.leader_id for peer in peers}
        if followed != {leader.meta.id}:
            return f"peer {leader.meta.id} leads, but {followed} are followed"
        last = leader.node.raft.raft_log.last_index()
        applied = [peer.applied_index for peer in peers]
        if any(index != last for index in applied):
            return f"applied {applied} of {last}"
        if any(peer.fill is not None for peer in peers):
            return "a replica is being filled"
        return ""

    def _peer(self, region: Region, store_id: int) -> Peer | None:
        for node in self.cluster.stores:
            if node.store_id == store_id and node.store is not None:
                return node.store.peers.get(region.id)
        return None

    def _orphans(self, regions: list[Region]) -> str:
        known = {(region.id, peer.store_id) for region in regions for peer in region.peers}
        for node in self.cluster.stores:
            assert node.store is not None
            for region_id in node.store.peers:
                if (region_id, node.store_id) not in known:
                    return f"{node.name} has a replica of region {region_id} that PD does not know"
            if len(node.files):
                return f"{node.name} keeps {len(node.files)} received snapshots"
        return ""

    def _compare_rows(self) -> None:
        core = self.cluster.pd.core
        assert core is not None
        for record in core.regions:
            region = record.region
            sums = {peer.store_id: self._checksum(region, peer.store_id) for peer in region.peers}
            if len(set(sums.values())) > 1:
                raise Violation(f"replicas of region {region.id} differ: checksums by store {sums}")
        for node in self.cluster.stores:
            self._check_no_strangers(node)

    def _check_no_strangers(self, node: StoreNode) -> None:
        """Every row of a store belongs to a region of it."""
        assert node.store is not None
        regions = node.store.region_map.regions()
        for cf in DATA_CFS:
            for key, _ in node.disk.engine.scan(cf, b"", None):
                if not any(region.contains(key) for region in regions):
                    raise Violation(f"{node.name} holds the row {key!r}, which belongs to no region of it")

    def _checksum(self, region: Region, store_id: int) -> int:
        checksum = 0
        node = next(node for node in self.cluster.stores if node.store_id == store_id)
        for cf in DATA_CFS:
            for key, value in node.disk.engine.scan(cf, region.start_key, region.end_key or None):
                checksum = crc32(value, crc32(key, checksum))
        return checksum

    # ------------------------------------------------ service

    def _serve(self, limit_us: int) -> None:
        """Read every key that was ever asked for, and write one key of each region."""
        cluster = self.cluster
        keys = sorted({record.key for record in cluster.history.records})
        core = cluster.pd.core
        assert core is not None
        news = [record.region.start_key or b"a" for record in core.regions]
        waiting = len(keys) + len(news)
        first = len(cluster.history.records)

        def done() -> None:
            nonlocal waiting
            waiting -= 1

        for number in range(READERS):
            client = SimClient(cluster, f"f{number}")
            self._chain(client, keys[number::READERS], news[number::READERS], done)
        self.world.run_until(limit_us + 10 * SECOND, lambda: waiting == 0)
        failed = [record for record in cluster.history.records[first:] if record.outcome is not Outcome.DONE]
        if failed:
            record = failed[0]
            raise Violation(f"{len(failed)} operations fail after healing, one of them on key {record.key!r}")

    def _chain(self, client: SimClient, keys: list[bytes], news: list[bytes], done: Callable[[], None]) -> None:
        """One operation after the other."""

        def next_one() -> None:
            done()
            self._chain(client, keys, news, done)

        if keys:
            client.read(keys.pop(0), next_one)
        elif news:
            target = news.pop(0)
            client.write(target, b"%b:%b" % (client.name.encode(), target), next_one)
