"""Figures of splits: ``python -m bench split [--only gap,thousand,memory,cpu] [--rounds 5] [--seconds 3]``.

gap:      64 official clients write 128-byte values while their region splits in the middle: lost writes, errors, and
          the longest gap between two acknowledged writes on either side of the new border
thousand: one region becomes 1,000 on three stores, until PD and every store have all of them, each with a leader
memory:   what one more region costs, all three stores together
cpu:      CPU of the stores per put at 256 in flight, with 10 and with 1,000 regions: puts over all regions, and puts to
          ten regions beside which the others are idle; and what the idle regions cost by themselves
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import grpc
from bench.demo import Demo, await_true, pause
from bench.kv_load import cpu_seconds

from flaredb.cli.probe import Probe, ProbeFailed, status_json
from flaredb.wire.pb import kvrpcpb_pb2, pdpb_pb2
from flaredb.wire.services import PD_METHODS, TIKV_METHODS

FIGURES = ("gap", "thousand", "memory", "cpu")
SETTLE_SECONDS_MAX = 60
CLIENTS = 64
KEYS = 20_000
FIRST_BORDERS = (6_000, 14_000)
"""Keys that part the first regions where load is measured: PD spreads them and their leaders over the stores."""

THIRDS = ",".join(f"key-{number:012}" for number in FIRST_BORDERS)
LAYOUTS = ("10 regions", "1,000 regions", "10 busy of 1,000 regions")


class Cluster:
    """A demo, and the calls that split its regions."""

    def __init__(self, demo: Demo) -> None:
        self.demo = demo
        self.pd_address: str = demo.facts["pd"]
        self.probe = Probe(self.pd_address)

    def split(self, keys: list[bytes]) -> None:
        """Split the region of the first key at all of these keys by its leader's SplitRegion. Errors: SystemExit."""
        region = next(found for found in self.probe.regions() if found.contains(keys[0]))
        context = kvrpcpb_pb2.Context(region_id=region.id, region_epoch=region.meta.region_epoch, peer=region.leader)
        method = TIKV_METHODS["SplitRegion"]
        request = kvrpcpb_pb2.SplitRegionRequest(context=context, split_keys=keys, is_raw_kv=True)
        with grpc.insecure_channel(self.probe.store_address(region.leader_store_id)) as channel:
            call = channel.unary_unary(
                method.path,
                request_serializer=method.request.SerializeToString,
                response_deserializer=method.response.FromString,
            )
            answer = call(request, timeout=30)
        if answer.HasField("region_error"):
            raise SystemExit(f"SplitRegion is refused: {answer.region_error}")

    def split_by_pd(self, keys: list[bytes]) -> None:
        """Split at all of these keys by PD's SplitRegions. Errors: SystemExit if it does not finish."""
        with grpc.insecure_channel(self.pd_address) as channel:

            def call(name: str, request: object, timeout: float) -> Any:
                method = PD_METHODS[name]
                return channel.unary_unary(
                    method.path,
                    request_serializer=method.request.SerializeToString,
                    response_deserializer=method.response.FromString,
                )(request, timeout=timeout)

            members = call("GetMembers", pdpb_pb2.GetMembersRequest(), 5)
            header = pdpb_pb2.RequestHeader(cluster_id=members.header.cluster_id)
            request = pdpb_pb2.SplitRegionsRequest(header=header, split_keys=keys)
            answer = call("SplitRegions", request, SETTLE_SECONDS_MAX)
        if answer.finished_percentage != 100:
            raise SystemExit(f"SplitRegions did {answer.finished_percentage} % in {SETTLE_SECONDS_MAX} s")

    def await_regions(self, count: int) -> None:
        """Until PD and every store have ``count`` regions and PD knows a leader of each."""
        await_true(lambda: self._has(count), SETTLE_SECONDS_MAX, f"{count} regions everywhere")

    def await_still(self, seconds: float = 2.0) -> None:
        """Until PD has moved no leader for a while."""
        last: list[int] = []
        changed = time.monotonic()

        def is_still() -> bool:
            nonlocal last, changed
            leaders = [region.leader_store_id for region in self.probe.regions()]
            if leaders != last:
                last, changed = leaders, time.monotonic()
            return time.monotonic() - changed > seconds

        await_true(is_still, SETTLE_SECONDS_MAX, "leaders that stay")

    def _has(self, count: int) -> bool:
        try:
            regions = self.probe.regions()
            if len(regions) != count or not all(region.leader_store_id for region in regions):
                return False
            addresses = [store["status_address"] for store in self.demo.facts["stores"]]
            return all(len(status_json(address, "/regions")) == count for address in addresses)
        except ProbeFailed:
            return False

    def uss_bytes(self) -> int:
        """Memory that only the store processes have, all together."""
        return sum(_uss_bytes(pid) for pid in self.demo.pids)


def _uss_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))


# ------------------------------------------------ the figures


def gap(rounds: int, seconds: float) -> None:
    """See the module."""
    with Demo("g,h") as demo:
        cluster = Cluster(demo)
        for number in range(rounds):
            prefix = f"g{number}/"
            cluster.split([prefix.encode()])
            command = [sys.executable, "-m", "bench.official_load", "--pd", cluster.pd_address]
            command += ["--clients", str(CLIENTS), "--seconds", str(seconds), "--prefix", prefix]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as load:
                assert load.stdout is not None
                load.stdout.readline()
                pause(seconds / 2)
                cluster.split([prefix.encode() + b"5"])
                found = json.loads(load.stdout.readline())
            print(
                f"split under {CLIENTS} clients: {found['puts_per_s']:,} puts/s, {found['lost']} of "
                f"{found['acknowledged']:,} lost, {len(found['errors'])} errors, longest gap "
                f"{found['gap_left_ms']:.0f} ms left and {found['gap_right_ms']:.0f} ms right of the border"
            )
            print(*found["errors"], sep="\n", end="")


def thousand(count: int = 1_000) -> None:
    """See the module."""
    keys = [b"s/%04d" % number for number in range(count - 1)]
    ways = (
        ("one SplitRegions call to PD", lambda cluster: cluster.split_by_pd(keys)),
        ("one SplitRegion call to the leader", lambda cluster: cluster.split(keys)),
    )
    for name, split in ways:
        with Demo("s,t") as demo:
            cluster = Cluster(demo)
            began = time.monotonic()
            split(cluster)
            cluster.await_regions(3 + len(keys))
            print(f"1 region to {count:,} by {name}: {time.monotonic() - began:.2f} s")


def memory(seconds: float) -> None:
    """See the module."""
    with Demo(THIRDS) as demo:
        cluster = Cluster(demo)
        spread(cluster, 10)
        pause(seconds)
        before = cluster.uss_bytes()
        spread(cluster, 1_000)
        pause(seconds)
        at_once = cluster.uss_bytes()
        pause(5 * seconds)
        later = cluster.uss_bytes()
    for when, after in (("after the splits", at_once), (f"{5 * seconds:g} s later", later)):
        print(f"memory per further region, three stores together, {when}: {(after - before) / 990 / 1000:.1f} kB")


def cpu(rounds: int, seconds: float) -> None:
    """See the module."""
    runs: dict[str, list[float]] = {}
    for _ in range(rounds):
        for layout in LAYOUTS:
            for name, found in _cpu_of(layout, seconds).items():
                runs.setdefault(f"{layout}, {name}", []).append(found)
    medians = {name: statistics.median(values) for name, values in runs.items()}
    for name, value in medians.items():
        base = medians[f"{LAYOUTS[0]}, {name.split(', ', 1)[1]}"]
        print(f"{name:52}{value:8.3f}{value / base:8.2f} x   {' '.join(f'{run:.3f}' for run in runs[name])}")


def _cpu_of(layout: str, seconds: float) -> dict[str, float]:
    """CPU per put and at rest of one layout, each on a demo of its own."""
    with Demo(THIRDS) as demo:
        cluster = Cluster(demo)
        spread(cluster, 1_000 if layout == "1,000 regions" else 10)
        if layout == "10 busy of 1,000 regions":
            add_idle(cluster)
        cluster.await_still()
        cpu_before = cpu_seconds(demo.pids)
        pause(seconds)
        table = {"at rest: cores": (cpu_seconds(demo.pids) - cpu_before) / seconds}
        for mode in ("batch", "unary"):
            found = _load(cluster, mode, seconds)
            table[f"put, {mode}: CPU s/1,000"] = found["server_cpu_s_per_1000"]
            table[f"put, {mode}: 1,000 puts/s"] = found["ops_per_s"] / 1000
            if found["errors"]:
                print(f"{layout}, put, {mode}: {found['errors']} errors")
        return table


def _load(cluster: Cluster, mode: str, seconds: float) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.kv_load", "--pd", cluster.pd_address, "--mode", mode, "--op", "put"]
    command += ["--in-flight", "256", "--seconds", str(seconds), "--keys", str(KEYS)]
    command += ["--pids", ",".join(map(str, cluster.demo.pids))]
    result: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return result


# ------------------------------------------------ layouts


def spread(cluster: Cluster, count: int) -> None:
    """Split until ``count`` regions, a multiple of ten, share the load's keys evenly."""
    numbers = range(KEYS // count, KEYS, KEYS // count)
    regions = cluster.probe.regions()
    wanted = sorted({_key(number) for number in numbers} - {region.meta.start_key for region in regions})
    for region in regions:
        keys = [key for key in wanted if region.contains(key)]
        if keys:
            cluster.split(keys)
    cluster.await_regions(count)


def add_idle(cluster: Cluster) -> None:
    """Split 330 regions off behind the last key of each third: the load has no keys in them."""
    for last in (FIRST_BORDERS[0], FIRST_BORDERS[1], KEYS):
        cluster.split([_key(last - 1) + b"/%03d" % number for number in range(330)])
    cluster.await_regions(1_000)


def _key(number: int) -> bytes:
    return b"key-%012d" % number


def main(argv: list[str] | None = None) -> None:
    """Print the figures asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(FIGURES), help="with commas between")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0)
    arguments = parser.parse_args(argv)
    figures = arguments.only.split(",")
    if not set(figures) <= set(FIGURES):
        parser.error(f"--only takes some of {','.join(FIGURES)}")
    if "gap" in figures:
        gap(arguments.rounds, arguments.seconds)
    if "thousand" in figures:
        thousand()
    if "memory" in figures:
        memory(arguments.seconds)
    if "cpu" in figures:
        cpu(arguments.rounds, arguments.seconds)


if __name__ == "__main__":
    main()
