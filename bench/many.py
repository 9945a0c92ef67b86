"""Puts over many regions: ``python -m bench many [--regions 3,1000] [--puts 20000] [--processes]``.

Three stores in one process on RocksDB, joined by encoded frames; 256 puts of 128 bytes in flight, spread over all
regions, 64 to a frame of one client. CPU time per put, all three stores together, without sockets and gRPC. With few
regions some 80 puts share a log entry, with a thousand hardly any does: the figure says what an entry costs.
Python looks for garbage as seldom as in a store process.

--processes: real clusters instead, by the compiled generator, in turns; --set SECTION.KEY=VALUE is a setting of their
stores, which otherwise are the demo's (ticks of 50 ms, so that a thousand awake regions beat 20,000 times a second).
"""

from __future__ import annotations

import argparse
import gc
import random
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from bench.compare import KEYS, make_generator
from bench.flare_cluster import FlareCluster, settings_of
from bench.generator import Work as GeneratedWork
from bench.generator import flare_target
from bench.idle import DEMO, Stores, make_regions, scratch

from flaredb.model.commands import PUT, Request, Write
from flaredb.model.ids import StoreId
from flaredb.model.region import Region
from flaredb.server.run import GC_THRESHOLDS
from flaredb.store.messages import RequestsReceived

IN_FLIGHT = 256
FRAME_REQUESTS = 64
VALUE = b"v" * 128


class Load:
    """A closed loop of puts."""

    def __init__(self, made: Stores, regions: tuple[Region, ...]) -> None:
        self.made = made
        self.regions = regions
        self.rng = random.Random(1)
        self.led: dict[StoreId, list[Region]] = {}
        for region in regions:
            self.led.setdefault(made.leader(region.id)[0], []).append(region)
        self.done = 0

    def run(self, puts: int) -> float:
        """CPU seconds per put."""
        made = self.made
        made.answers.clear()
        made.cpu_seconds = 0.0
        self.done = waiting = 0
        while self.done < puts:
            while waiting + FRAME_REQUESTS <= IN_FLIGHT:
                self._send_frame()
                waiting += FRAME_REQUESTS
            made.step()
            made.now_ms += 1
            for _, result in made.answers:  # type: ignore[misc]
                if result is not None:
                    raise SystemExit(f"a put was answered by {result}")
            self.done += len(made.answers)
            waiting -= len(made.answers)
            made.answers.clear()
        return made.cpu_seconds / self.done

    def _send_frame(self) -> None:
        store_id = self.rng.choice(sorted(self.led))
        requests = [self._put(store_id) for _ in range(FRAME_REQUESTS)]
        self.made.inboxes[store_id].append(RequestsReceived(requests))

    def _put(self, store_id: StoreId) -> Request:
        region = self.rng.choice(self.led[store_id])
        key = region.start_key + b"/%08d" % self.rng.randrange(20_000)
        peer = region.peer_on(store_id)
        assert peer is not None, "it leads there"
        command = Write([(PUT, 0, key, VALUE)], len(key) + len(VALUE))
        return Request(1, command, region.id, region.epoch.version, peer.id, store_id)


def run_processes(counts: list[int], rounds: int, config: dict[str, dict[str, str]]) -> None:
    """Print puts a second and CPU per put of a cluster with each number of regions, and the rounds' ratios."""
    generator, work = make_generator(), GeneratedWork("batch", IN_FLIGHT)
    with ExitStack() as open_:
        directory = Path(open_.enter_context(tempfile.TemporaryDirectory(prefix="flaredb-bench-")))
        clusters = [
            open_.enter_context(FlareCluster(directory / str(count), KEYS, regions=count, config=config))
            for count in counts
        ]
        targets = [flare_target(cluster.routes(), cluster.pids) for cluster in clusters]
        for target in targets:
            generator.run(target, work, 2, 0, fill=True)
        # The warm-up wakes the regions, which fell asleep while the other cluster was loaded.
        runs = [[generator.run(target, work, 3, 2) for target in targets] for _ in range(rounds)]
    for at, count in enumerate(counts):
        rate = statistics.median(run[at].ops_per_s for run in runs)
        cpu_us = statistics.median(run[at].server_cpu_s_per_1000 for run in runs) * 1000
        ratio = statistics.median(run[at].ops_per_s / run[0].ops_per_s for run in runs)
        print(f"{count:6,} regions: {rate:8,.0f} puts/s, {ratio:.2f} x; {cpu_us:6.1f} us of CPU per put")


def main(argv: list[str] | None = None) -> None:
    """Print CPU per put for each number of regions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--regions", default="3,1000")
    parser.add_argument("--puts", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processes", action="store_true")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE")
    arguments = parser.parse_args(argv)
    counts = [int(count) for count in arguments.regions.split(",")]
    if arguments.processes:
        run_processes(counts, arguments.rounds, settings_of(arguments.set))
        return
    gc.set_threshold(*GC_THRESHOLDS)
    base = 0.0
    for count in counts:
        with scratch() as directory:
            made = Stores(directory, 3, DEMO)
            made.create(count)
            load = Load(made, make_regions(count, 3))
            load.run(max(arguments.puts // 10, 1))
            began = time.perf_counter()
            best = min(load.run(arguments.puts) for _ in range(arguments.rounds))
            base = base or best
            rate = arguments.puts * arguments.rounds / (time.perf_counter() - began)
            print(f"{count:6,} regions: {best * 1e6:6.1f} us of CPU per put, {best / base:.2f} x; {rate:,.0f} puts/s")
            made.close()


if __name__ == "__main__":
    main()
