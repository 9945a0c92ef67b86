"""The Raft core alone: one leader and two followers in one process, no I/O.

    python -m bench.raft_core [--seconds 3]

Prints entries per second committed and handed out on all three members, one proposal at a time (each committed
everywhere before the next is made) and in batches, and the memory of an idle group.
"""

from __future__ import annotations

import argparse
import gc
import random
import time
import tracemalloc

from flaredb.raft import Config, ConfState, MemStorage, Message, RawNode

MEMBERS = (1, 2, 3)
COMPACT_EVERY = 4096
TARGETS = {"one by one": 15_000, "batches of 64": 250_000}
IDLE_BYTES_MAX = 6 * 1024


class Group:
    """Three members that persist in memory at once and deliver messages at once."""

    def __init__(self, seed: int = 1) -> None:
        rng = random.Random(seed)
        self.nodes = {
            i: RawNode(
                Config(id=i, election_tick=10, heartbeat_tick=1, check_quorum=True, pre_vote=True),
                MemStorage.new_with_conf_state(ConfState(list(MEMBERS))),
                rng,
            )
            for i in MEMBERS
        }
        self.applied = dict.fromkeys(MEMBERS, 0)
        self.nodes[1].campaign()
        self.settle()

    def settle(self) -> None:
        """Deliver until nobody has anything to do."""
        busy = True
        while busy:
            busy = False
            for node in self.nodes.values():
                if node.has_ready():
                    busy = True
                    self.handle(node)

    def handle(self, node: RawNode) -> None:
        """One Ready: persist, send, apply."""
        rd = node.ready()
        store = node.store()
        assert isinstance(store, MemStorage)
        if rd.entries:
            store.append(rd.entries)
        if rd.hs is not None:
            store.set_hardstate(rd.hs)
        self.deliver(rd.messages)
        self.deliver(rd.persisted_messages)
        light = node.advance_append(rd)
        self.deliver(light.messages)
        for entries in (rd.committed_entries, light.committed_entries):
            if entries:
                last = entries[-1].index
                self.applied[node.raft.id] = last
                node.advance_apply_to(last)
                if last - store.first_index() > COMPACT_EVERY:
                    store.compact(last - COMPACT_EVERY // 2)

    def deliver(self, messages: list[Message]) -> None:
        """Hand messages over; nothing is lost."""
        nodes = self.nodes
        for m in messages:
            nodes[m.to].step(m)


def entries_per_second(batch: int, seconds: float) -> float:
    """Entries committed and handed out on all members per second, `batch` per proposal."""
    group = Group()
    leader = group.nodes[1]
    datas = [b"x" * 100] * batch
    start = time.perf_counter()
    before = group.applied[1]
    while (elapsed := time.perf_counter() - start) < seconds:
        if batch == 1:
            leader.propose(b"", datas[0])
        else:
            leader.propose_batch(datas)
        group.settle()
        assert len(set(group.applied.values())) == 1, "a member lags behind"
    return (group.applied[1] - before) / elapsed


def idle_group_bytes(count: int) -> float:
    """Memory of one member of an idle group, with its progress of all three, in bytes."""
    rng = random.Random(1)

    def make(i: int) -> RawNode:
        store = MemStorage.new_with_conf_state(ConfState(list(MEMBERS)))
        config = Config(id=i % 3 + 1, election_tick=10, heartbeat_tick=1, check_quorum=True, pre_vote=True)
        return RawNode(config, store, rng)

    make(0)
    gc.collect()
    tracemalloc.start()
    nodes = [make(i) for i in range(count)]
    gc.collect()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return size / len(nodes)


def main(argv: list[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of each measurement")
    parser.add_argument("--groups", type=int, default=500, help="groups made to measure memory")
    args = parser.parse_args(argv)
    for batch, name in ((1, "one by one"), (64, "batches of 64")):
        rate = entries_per_second(batch, args.seconds)
        print(f"raft core, {name:14} {rate:10,.0f} entries/s on all three (target {TARGETS[name]:,})")
    size = idle_group_bytes(args.groups)
    print(f"raft core, idle group     {size:10,.0f} bytes (target below {IDLE_BYTES_MAX:,})")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
