"""Two whole stores in this process: PD orders a replica, a snapshot carries it over, the leader moves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from flaredb.engine.base import CF_DEFAULT
from flaredb.model.ids import PeerId, StoreId
from flaredb.model.orders import ChangeKind, ChangePeers, PeerChange, RegionOrder, TransferLeader
from flaredb.model.region import Peer, PeerRole, Region
from flaredb.server.node import StoreNode
from flaredb.wire.convert import region_from_pb
from flaredb.wire.pd_orders import order_to_pb
from tests.rim.fake_pd import FakePd, eventually
from tests.rim.test_node import call, region, running, serving, settings_for

VALUE = b"v" * 10_000
KEYS = [b"key-%04d" % number for number in range(300)]


@pytest.fixture
async def pd() -> AsyncIterator[FakePd]:
    fake = FakePd()
    fake.bootstrapped = True
    fake.regions = [region(10)]
    await fake.start()
    yield fake
    await fake.stop()


def reported(pd: FakePd) -> tuple[Region, Peer]:
    beat = pd.region_heartbeats[-1]
    whole = region_from_pb(beat.region)
    return whole, next(peer for peer in whole.peers if peer.id == beat.leader.id)


async def carry_out(pd: FakePd, step: ChangePeers | TransferLeader, done: Callable[[Region, Peer], bool]) -> None:
    """Order it again and again, as PD does, until a heartbeat shows it."""
    async with asyncio.timeout(60):
        while not done(*reported(pd)):
            whole, leader = reported(pd)
            pd.orders = [order_to_pb(RegionOrder(whole.id, whole.epoch, leader, step))]
            beats = len(pd.region_heartbeats)
            await eventually(lambda beats=beats: len(pd.region_heartbeats) > beats + 1)


def rows(node: StoreNode) -> int:
    engine = node._engine
    assert engine is not None
    return sum(engine.get(CF_DEFAULT, key) is not None for key in KEYS)


async def test_a_replica_is_added_by_a_snapshot_and_leads_after_the_first_store_stops(
    tmp_path: Path, pd: FakePd
) -> None:
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(serving(settings_for(tmp_path / "1", pd)))
        for key in KEYS:
            put = await call(one, "RawPut", pd.regions[0], key=key, value=VALUE)
            assert not put.HasField("region_error"), put
        two = await stack.enter_async_context(running(settings_for(tmp_path / "2", pd)))
        await eventually(lambda: pd.region_heartbeats)
        learner = Peer(PeerId(50), StoreId(two.store_id), PeerRole.LEARNER)
        await carry_out(
            pd,
            ChangePeers((PeerChange(ChangeKind.ADD_LEARNER_NODE, learner),)),
            lambda whole, _: len(whole.peers) == 2 and not pd.region_heartbeats[-1].pending_peers,
        )
        # The receiver has it, and tells Raft so, before the sender has ended.
        await eventually(lambda: (one.counters.snapshots.sent, rows(two)) == (1, len(KEYS)))
        assert two.counters.snapshots.received == 1
        assert two.counters.snapshots.bytes_received > len(KEYS) * len(VALUE)
        snap = tmp_path / "2" / "store" / "snap"
        await eventually(lambda: list(snap.iterdir()) == [])
        voter = Peer(learner.id, learner.store_id)
        await carry_out(
            pd,
            ChangePeers((PeerChange(ChangeKind.ADD_NODE, voter),)),
            lambda whole, _: voter in whole.peers,
        )
        await asyncio.wait_for(one.hand_over(), 30)
        await eventually(lambda: reported(pd)[1] == voter)
        await eventually(lambda: any(stats.is_stopping for stats in pd.store_heartbeats))
        moved = reported(pd)[0]
        served = Region(moved.id, moved.start_key, moved.end_key, moved.epoch, (voter,))
        answer = await call(two, "RawGet", served, key=KEYS[-1])
        assert answer.value == VALUE, answer
