"""FlareDB's client, TiKV's official one and etcd driven from Python, on one machine: ``python -m bench client``.

Each measurement runs in a process of its own: so many coroutines, each with one operation after the other, 128-byte
values, random keys out of 20,000. Rounds are interleaved and medians are told, so that a noisy minute hits all. All run
on uvloop. FlareDB is `flaredb demo` with three regions; etcd is three members, spoken to at the leader.

ours      flaredb.aio          sync   flaredb.Client in one thread
official  tikv-client 0.0.4, on FlareDB; where its wheel exists
aetcd     the asyncio client of etcd that is maintained; where it is installed
etcd      grpc.aio with hand-made bytes (etcd_client.py): the most that a Python client of etcd can do
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.demo import Demo
from bench.etcd_cluster import EtcdCluster, etcd_binary

VALUE = b"v" * 128
KEYS = 20_000
STRIDE = 7_919
"""From one key to the next; has no factor in common with KEYS, so every key comes in turn."""

SPLIT_KEYS = "key-000000006666,key-000000013333"
OTHERS = {"official": "tikv_client", "aetcd": "aetcd"}
"""Contestants that need a module."""

WORK = (("put", 64), ("get", 64), ("put", 256), ("get", 256), ("put", 1), ("get", 1))
Operation = Callable[[bytes], Awaitable[Any]]


async def closed_loop(operation: Operation, at_once: int, seconds: float, warm_up: float) -> dict[str, float]:
    """Run coroutines that do one operation after the other; operations per second and their latency."""
    rng = random.Random(1)
    begin = time.perf_counter() + warm_up
    end = begin + seconds
    took: list[float] = []

    async def worker(number: int) -> None:
        while (started := time.perf_counter()) < end:
            number = (number + STRIDE) % KEYS
            await operation(b"key-%012d" % number)
            if started >= begin:
                took.append(time.perf_counter() - started)

    await asyncio.gather(*(worker(rng.randrange(KEYS)) for _ in range(at_once)))
    took.sort()
    return {
        "per_s": len(took) / seconds,
        "p50_ms": took[len(took) // 2] * 1000,
        "p99_ms": took[int(len(took) * 0.99)] * 1000,
    }


async def run_ours(pd: str, op: str, at_once: int, seconds: float, warm_up: float) -> dict[str, float]:
    """flaredb.aio."""
    from flaredb import aio

    async with aio.connect(pd) as db:
        operation: Operation = (lambda key: db.put(key, VALUE)) if op == "put" else db.get
        return await closed_loop(operation, at_once, seconds, warm_up)


async def run_official(pd: str, op: str, at_once: int, seconds: float, warm_up: float) -> dict[str, float]:
    """tikv_client."""
    from tikv_client.asynchronous import RawClient

    db = await RawClient.connect([pd])
    operation: Operation = (lambda key: db.put(key, VALUE)) if op == "put" else db.get
    return await closed_loop(operation, at_once, seconds, warm_up)


async def run_etcd(address: str, op: str, at_once: int, seconds: float, warm_up: float) -> dict[str, float]:
    """etcd by hand-made bytes."""
    from bench.etcd_client import EtcdByBytes

    db = EtcdByBytes(address)
    operation: Operation = (lambda key: db.put(key, VALUE)) if op == "put" else db.get
    found = await closed_loop(operation, at_once, seconds, warm_up)
    await db.close()
    return found


async def run_aetcd(address: str, op: str, at_once: int, seconds: float, warm_up: float) -> dict[str, float]:
    """etcd by aetcd."""
    import aetcd

    host, _, port = address.rpartition(":")
    async with aetcd.Client(host, int(port)) as db:
        operation: Operation = (lambda key: db.put(key, VALUE)) if op == "put" else db.get
        return await closed_loop(operation, at_once, seconds, warm_up)


RUNS = {"ours": run_ours, "official": run_official, "etcd": run_etcd, "aetcd": run_aetcd}


def run_sync(pd: str, op: str, seconds: float, warm_up: float) -> dict[str, float]:
    """flaredb.Client, one thread."""
    import flaredb

    took: list[float] = []
    with flaredb.connect(pd) as db:
        begin = time.perf_counter() + warm_up
        number = 0
        while (started := time.perf_counter()) < begin + seconds:
            number += 1
            key = b"key-%012d" % (number * STRIDE % KEYS)
            if op == "put":
                db.put(key, VALUE)
            else:
                db.get(key)
            if started >= begin:
                took.append(time.perf_counter() - started)
    took.sort()
    return {
        "per_s": len(took) / seconds,
        "p50_ms": took[len(took) // 2] * 1000,
        "p99_ms": took[int(len(took) * 0.99)] * 1000,
    }


def run_one(arguments: argparse.Namespace) -> dict[str, float]:
    """One measurement, in this process."""
    if arguments.client == "sync":
        return run_sync(arguments.pd, arguments.op, arguments.seconds, arguments.warm_up)
    run = RUNS[arguments.client](arguments.pd, arguments.op, arguments.at_once, arguments.seconds, arguments.warm_up)
    try:
        import uvloop
    except ImportError:
        return asyncio.run(run)
    return uvloop.run(run)


def measure(pd: str, client: str, op: str, at_once: int, arguments: argparse.Namespace) -> dict[str, float]:
    """One measurement, in a process of its own; with the CPU seconds that this process used per 1,000 operations."""
    command = [sys.executable, "-m", "bench.client", "--pd", pd, "--client", client, "--op", op]
    command += ["--at-once", str(at_once), "--seconds", str(arguments.seconds), "--warm-up", str(arguments.warm_up)]
    before = os.times()
    result: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    result["cpu_s_per_1000"] = used / max(1, result["per_s"] * (arguments.seconds + arguments.warm_up)) * 1000
    return result


def contestants(at_once: int, has_etcd: bool) -> list[str]:
    """Who takes part here."""
    names = ["ours", *(name for name, module in OTHERS.items() if importlib.util.find_spec(module))]
    names += ["etcd"] if has_etcd else []
    return [name for name in names if has_etcd or name != "aetcd"] + (["sync"] if at_once == 1 else [])


def compare(arguments: argparse.Namespace) -> None:
    """The table."""
    runs: dict[tuple[str, str, int], list[dict[str, float]]] = {}
    binary = etcd_binary()
    with ExitStack() as open_:
        pd = open_.enter_context(Demo(SPLIT_KEYS)).facts["pd"]
        directory = Path(open_.enter_context(tempfile.TemporaryDirectory()))
        etcd = open_.enter_context(EtcdCluster(directory, binary)) if binary else None
        subprocess.run([sys.executable, "-m", "bench.client", "--pd", pd, "--fill"], check=True)
        for _ in range(arguments.rounds):
            for op, at_once in WORK:
                for client in contestants(at_once, etcd is not None):
                    address = etcd.leader_address if etcd is not None and "etcd" in client else pd
                    runs.setdefault((client, op, at_once), []).append(measure(address, client, op, at_once, arguments))
    print(f"{'work':<12}{'client':<10}{'ops/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'CPU s/1,000':>13}{'ours is':>10}")
    for (client, op, at_once), results in runs.items():
        middle = {name: statistics.median(result[name] for result in results) for name in results[0]}
        pairs = zip(runs["ours", op, at_once], results, strict=True)
        times = statistics.median(ours["per_s"] / theirs["per_s"] for ours, theirs in pairs)
        print(
            f"{op + ', ' + str(at_once):<12}{client:<10}{middle['per_s']:>9,.0f}{middle['p50_ms']:>9.2f}"
            f"{middle['p99_ms']:>9.2f}{middle['cpu_s_per_1000']:>13.3f}{times:>8.1f} x"
        )


def fill(pd: str) -> None:
    """Write all keys, so that gets find a value."""
    import flaredb

    with flaredb.connect(pd) as db:
        db.put_many({b"key-%012d" % number: VALUE for number in range(KEYS)}, timeout=60)


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--warm-up", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pd", default="", help="measure once: address of PD, or of etcd")
    parser.add_argument("--fill", action="store_true")
    parser.add_argument("--client", choices=(*RUNS, "sync"), default="ours")
    parser.add_argument("--op", choices=("put", "get"), default="put")
    parser.add_argument("--at-once", type=int, default=256)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Compare; with --pd one JSON line."""
    arguments = parse(argv)
    if arguments.fill:
        fill(arguments.pd)
    elif arguments.pd:
        print(json.dumps(run_one(arguments)))
    else:
        compare(arguments)


if __name__ == "__main__":
    main()
