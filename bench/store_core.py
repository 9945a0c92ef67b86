"""CPU time of the store cores alone: ``python -m bench.store_core [--seconds 3] [--frame 42] [--before OTHER/src]``.

Three stores in one process and one thread, each leading one of three regions, on RocksDB, with the real bytes between
them; no sockets, no gRPC, and no fsync. So it tells what a change of the cores costs or saves on a machine that does
other work too: the thread's own CPU time is counted, and of several rounds the best is told. With --before, another
checkout's src and this one's run in turns, each round in a process of its own.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

from flaredb.engine.rocks import open_rocks
from flaredb.model.commands import PUT, Request, Write
from flaredb.model.ids import PeerId, RegionId, StoreId
from flaredb.model.region import INITIAL_EPOCH, Peer, Region
from flaredb.store.config import StoreConfig
from flaredb.store.messages import (
    Fatal,
    Input,
    RaftReceived,
    RegionsListed,
    Reply,
    RequestsReceived,
    SendRaft,
    Sync,
    SyncDone,
)
from flaredb.store.store import Store
from flaredb.wire.frames import decode_envelopes, encode_envelopes

STORES = (1, 2, 3)
KEYS = 20_000
VALUE = b"v" * 128
STEPS_PER_MS = 4
SETTLE_STEPS_MAX = 20_000


class Core:
    """One store, and the inputs of its next step."""

    def __init__(self, store_id: int, directory: Path) -> None:
        self.id = StoreId(store_id)
        config = StoreConfig(tick_ms=50, election_ticks=10, election_ticks_max=16)
        self.engine = open_rocks(directory / str(store_id))
        files: Any = None
        self.store = Store(config, self.id, self.engine, Random(store_id), 0, files)
        self.inputs: list[Input] = []


class Cores:
    """Three of them, joined by bytes."""

    def __init__(self, directory: Path) -> None:
        self.cores = {StoreId(number): Core(number, directory) for number in STORES}
        self.regions = [self._region(number) for number in STORES]
        self.answered = 0
        self.steps = 0
        for core in self.cores.values():
            core.inputs.append(RegionsListed(self.regions))
        while not all(self._leads(region) for region in self.regions):
            self.turn()
            assert self.steps < SETTLE_STEPS_MAX, "no leaders"

    @staticmethod
    def _region(number: int) -> Region:
        """The peer that comes first campaigns first."""
        bounds = [b"", b"key-000000006666", b"key-000000013333", b""]
        order = [number, *(other for other in STORES if other != number)]
        peers = tuple(Peer(PeerId(number * 10 + store), StoreId(store)) for store in order)
        return Region(RegionId(number), bounds[number - 1], bounds[number], INITIAL_EPOCH, peers)

    def _leads(self, region: Region) -> bool:
        peer = self.cores[region.peers[0].store_id].store.peers.get(region.id)
        return peer is not None and peer.is_leader

    def put(self, region: Region, numbers: Iterable[int]) -> None:
        """One frame of puts to the leader."""
        peer = region.peers[0]
        writes = ((number, Write([(PUT, 0, b"key-%012d" % number, VALUE)], 16 + len(VALUE))) for number in numbers)
        requests = [Request(number, write, region.id, 1, peer.id, peer.store_id) for number, write in writes]
        self.cores[peer.store_id].inputs.append(RequestsReceived(requests))

    def turn(self) -> None:
        """A step of each store that has something to do."""
        self.steps += 1
        for core in self.cores.values():
            inputs, core.inputs = core.inputs, []
            for effect in core.store.step(self.steps // STEPS_PER_MS, inputs):
                if isinstance(effect, SendRaft):
                    data = encode_envelopes(effect.envelopes)
                    self.cores[effect.to_store].inputs.append(RaftReceived(decode_envelopes(data)))
                elif isinstance(effect, Sync):
                    core.inputs.append(SyncDone(effect.sequence))
                elif isinstance(effect, Reply):
                    assert all(result is None for _, result in effect.answers), effect.answers[0]
                    self.answered += len(effect.answers)
                else:
                    assert not isinstance(effect, Fatal), effect

    def close(self) -> None:
        """Let go of the engines."""
        for core in self.cores.values():
            core.store.close()
            core.engine.close()


def microseconds_per_put(seconds: float, frame: int) -> float:
    """CPU time of all three stores together for one put, with a frame under way to each region at any time."""
    rng = Random(1)
    with tempfile.TemporaryDirectory(prefix="flaredb-bench-") as name:
        cores = Cores(Path(name))
        end = time.perf_counter() + seconds
        began, used = cores.answered, time.thread_time()
        while time.perf_counter() < end:
            for region in cores.regions:
                low = (region.id - 1) * KEYS // 3 + 1
                cores.put(region, (low + rng.randrange(KEYS // 3 - 2) for _ in range(frame)))
            sent = cores.answered + frame * len(cores.regions)
            while cores.answered < sent:
                cores.turn()
        used = time.thread_time() - used
        cores.close()
        return used / max(cores.answered - began, 1) * 1e6


def compare(before: Path, arguments: argparse.Namespace) -> None:
    """Both in turns; the best and the median of each."""
    took: dict[str, list[float]] = {"before": [], "after": []}
    here = Path(__file__).parents[1]
    for number in range(arguments.rounds):
        for side in ("before", "after") if number % 2 == 0 else ("after", "before"):
            source = before.resolve() if side == "before" else here / "src"
            words = [sys.executable, "-m", "bench.store_core", "--seconds", str(arguments.seconds)]
            words += ["--frame", str(arguments.frame)]
            environment = os.environ | {"PYTHONPATH": f"{source}{os.pathsep}{here}"}
            done = subprocess.run(words, check=True, capture_output=True, text=True, env=environment)
            took[side].append(float(done.stdout.split()[0]))
    for side, found in took.items():
        print(f"{side:8} best {min(found):6.2f} us a put, median {statistics.median(found):6.2f}")
    ratios = [b / a for a, b in zip(took["before"], took["after"], strict=True)]
    print(f"ratio    best {min(took['after']) / min(took['before']):.3f}, median {statistics.median(ratios):.3f}")


def main(argv: list[str] | None = None) -> None:
    """Measure once, or with --before compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--frame", type=int, default=42, help="puts under way to each region")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--before", type=Path, default=None)
    arguments = parser.parse_args(argv)
    if arguments.before is not None:
        compare(arguments.before, arguments)
    else:
        print(f"{microseconds_per_put(arguments.seconds, arguments.frame):.2f} us of CPU a put, three stores together")


if __name__ == "__main__":
    main()
