"""Load on a running cluster through the TiKV protocol: BatchCommands frames or unary calls, closed loop.

    python -m bench.kv_load --pd 127.0.0.1:2379 --mode batch --op put --in-flight 256 --seconds 5

Prints one JSON line: operations per second, p50 and p99 in milliseconds, errors, and how many of these came because a
region's leader or borders moved: regions are looked up once, so a run with moves is to be repeated. With --pids, the
CPU seconds those processes used per 1,000 operations. The generator is Python and needs CPU of its own: on two cores it
competes with the servers, so the figures are a floor.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import time
from bisect import bisect_right
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from bench.etcd_client import EtcdByBytes
from bench.routes import Route, find_routes

from flaredb.wire.pb import kvrpcpb_pb2, tikvpb_pb2

OPTIONS = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
Answer = kvrpcpb_pb2.RawPutResponse | kvrpcpb_pb2.RawGetResponse
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Tally:
    """What was measured; operations of the warm-up are not counted."""

    counting: bool = False
    operations: int = 0
    errors: int = 0
    moved: int = 0
    seconds: list[float] = field(default_factory=list)

    def add(self, took_seconds: float) -> None:
        """Count an operation that took this long."""
        if self.counting:
            self.operations += 1
            self.seconds.append(took_seconds)

    def judge(self, answer: Answer) -> None:
        """Count an answer that is an error."""
        if self.counting and (answer.HasField("region_error") or answer.error):
            self.errors += 1
            self.moved += answer.region_error.HasField("not_leader") or answer.region_error.HasField("epoch_not_match")


def cpu_seconds(pids: list[int]) -> float:
    """User and system time of the processes so far."""
    total = 0.0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += (int(fields[11]) + int(fields[12])) / CLOCK_TICKS
    return total


class Target:
    """One store and the keys, of all of the run's, whose regions are led there; there may be none."""

    def __init__(self, address: str, value: bytes, rng: random.Random) -> None:
        self.address = address
        self.rows: list[tuple[bytes, Route]] = []
        self._value = value
        self._rng = rng

    def command(self, op: str) -> kvrpcpb_pb2.RawPutRequest | kvrpcpb_pb2.RawGetRequest:
        """One request on a random key."""
        key, route = self._rng.choice(self.rows)
        if op == "put":
            return kvrpcpb_pb2.RawPutRequest(context=route.context, key=key, value=self._value)
        return kvrpcpb_pb2.RawGetRequest(context=route.context, key=key)


def targets_of(routes: list[Route], arguments: argparse.Namespace) -> list[Target]:
    """The stores that lead regions with some of the keys."""
    rng = random.Random(arguments.seed)
    value = bytes(rng.choices(range(256), k=arguments.value_bytes))
    targets = {route.address: Target(route.address, value, rng) for route in routes}
    starts = [route.start_key for route in routes]
    for number in range(arguments.keys):
        key = b"key-%012d" % number
        route = routes[bisect_right(starts, key) - 1]
        targets[route.address].rows.append((key, route))
    return [target for target in targets.values() if target.rows]


async def batch_stream(
    channel: grpc.aio.Channel,
    target: Target,
    arguments: argparse.Namespace,
    tally: Tally,
    stop: asyncio.Event,
) -> None:
    """One BatchCommands stream that keeps ``in_flight`` requests unanswered, in frames of ``batch``."""
    frames: asyncio.Queue[bytes | None] = asyncio.Queue()
    sent: dict[int, float] = {}
    next_id = 0
    name = "RawPut" if arguments.op == "put" else "RawGet"

    def put_frame(count: int) -> None:
        nonlocal next_id
        frame = tikvpb_pb2.BatchCommandsRequest()
        now = time.perf_counter()
        for _ in range(count):
            getattr(frame.requests.add(), name).CopyFrom(target.command(arguments.op))
            next_id += 1
            frame.request_ids.append(next_id)
            sent[next_id] = now
        frames.put_nowait(frame.SerializeToString())

    async def source() -> AsyncIterator[bytes]:
        while (data := await frames.get()) is not None:
            yield data

    call = channel.stream_stream(
        "/tikvpb.Tikv/BatchCommands", response_deserializer=tikvpb_pb2.BatchCommandsResponse.FromString
    )(source())
    for _ in range(0, arguments.in_flight, arguments.batch):
        put_frame(min(arguments.batch, arguments.in_flight))
    free = 0
    async for response in call:
        now = time.perf_counter()
        for item in response.responses:
            tally.judge(getattr(item, name))
        for request_id in response.request_ids:
            tally.add(now - sent.pop(request_id))
        free += len(response.request_ids)
        if stop.is_set():
            if not sent:
                break
            continue
        while free >= arguments.batch or (free and not sent):
            put_frame(min(arguments.batch, free))
            free -= min(arguments.batch, free)
    frames.put_nowait(None)
    call.cancel()


async def unary_worker(
    channel: grpc.aio.Channel,
    target: Target,
    arguments: argparse.Namespace,
    tally: Tally,
    stop: asyncio.Event,
) -> None:
    """One caller that always has one unary call under way."""
    name, answer = (
        ("RawPut", kvrpcpb_pb2.RawPutResponse) if arguments.op == "put" else ("RawGet", kvrpcpb_pb2.RawGetResponse)
    )
    call = channel.unary_unary(f"/tikvpb.Tikv/{name}", response_deserializer=answer.FromString)
    while not stop.is_set():
        data = target.command(arguments.op).SerializeToString()
        started = time.perf_counter()
        response = await call(data)
        tally.add(time.perf_counter() - started)
        tally.judge(response)


async def etcd_worker(
    db: EtcdByBytes, arguments: argparse.Namespace, rng: random.Random, tally: Tally, stop: asyncio.Event
) -> None:
    """One caller that always has one call to etcd under way."""
    value = bytes(arguments.value_bytes)
    while not stop.is_set():
        key = b"key-%012d" % rng.randrange(arguments.keys)
        started = time.perf_counter()
        await (db.put(key, value) if arguments.op == "put" else db.get(key))
        tally.add(time.perf_counter() - started)


async def run(arguments: argparse.Namespace) -> dict[str, object]:
    """One closed-loop run over all regions that hold some of the keys; each store gets an even share."""
    tally, stop = Tally(), asyncio.Event()
    if arguments.etcd:
        db, rng = EtcdByBytes(arguments.etcd), random.Random(arguments.seed)
        workers = [etcd_worker(db, arguments, rng, tally, stop) for _ in range(arguments.in_flight)]
        result = await measure(arguments, tally, stop, [asyncio.create_task(worker) for worker in workers])
        await db.close()
        return result
    targets = targets_of(find_routes(arguments.pd), arguments)
    channels = [grpc.aio.insecure_channel(target.address, OPTIONS) for target in targets]
    share = max(arguments.in_flight // len(targets), 1)
    tasks = []
    for channel, target in zip(channels, targets, strict=True):
        if arguments.mode == "batch":
            part = argparse.Namespace(**{**vars(arguments), "in_flight": share, "batch": min(arguments.batch, share)})
            tasks.append(asyncio.create_task(batch_stream(channel, target, part, tally, stop)))
        else:
            workers = (unary_worker(channel, target, arguments, tally, stop) for _ in range(share))
            tasks += [asyncio.create_task(worker) for worker in workers]
    result = await measure(arguments, tally, stop, tasks)
    for channel in channels:
        await channel.close()
    return result


async def measure(
    arguments: argparse.Namespace, tally: Tally, stop: asyncio.Event, tasks: list[asyncio.Task[None]]
) -> dict[str, object]:
    """Warm up, count for the time asked for, and stop."""
    await asyncio.sleep(arguments.warm_up)
    tally.counting, cpu, started = True, cpu_seconds(arguments.pids), time.perf_counter()
    await asyncio.sleep(arguments.seconds)
    took, cpu = time.perf_counter() - started, cpu_seconds(arguments.pids) - cpu
    tally.counting = False
    stop.set()
    await asyncio.wait(tasks, timeout=10)
    return report(arguments, tally, took, cpu)


def report(arguments: argparse.Namespace, tally: Tally, took_seconds: float, cpu: float) -> dict[str, object]:
    """The JSON line."""
    ordered = sorted(tally.seconds) or [0.0]
    return {
        "mode": arguments.mode,
        "op": arguments.op,
        "in_flight": arguments.in_flight,
        "ops_per_s": round(tally.operations / took_seconds),
        "p50_ms": round(ordered[len(ordered) // 2] * 1000, 2),
        "p99_ms": round(ordered[int(len(ordered) * 0.99)] * 1000, 2),
        "errors": tally.errors,
        "moved": tally.moved,
        "server_cpu_s_per_1000": round(cpu / max(tally.operations, 1) * 1000, 4) if arguments.pids else None,
    }


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Command line of one run."""
    parser = argparse.ArgumentParser(description="closed-loop load through the TiKV protocol")
    parser.add_argument("--pd", default="127.0.0.1:2379")
    parser.add_argument("--etcd", default="", help="address of an etcd member to load instead")
    parser.add_argument("--mode", choices=("batch", "unary", "etcd"), default="batch")
    parser.add_argument("--op", choices=("put", "get"), default="put")
    parser.add_argument("--in-flight", type=int, default=256)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--keys", type=int, default=20_000)
    parser.add_argument("--value-bytes", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--warm-up", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pids", type=lambda text: [int(pid) for pid in text.split(",")], default=[])
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Run once and print the line."""
    arguments = parse(argv)
    try:
        import uvloop
    except ImportError:
        result = asyncio.run(run(arguments))
    else:
        result = uvloop.run(run(arguments))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
