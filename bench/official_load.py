"""Many official clients that write without pause, and how long the acknowledged writes of a range ever paused.

    python -m bench.official_load --pd 127.0.0.1:2379 --clients 64 --seconds 5 --border 5 --prefix load/

Each client is a tikv_client.RawClient of its own that puts new keys, prefix + nine random digits, one after another.
Prints "writing" once all of them write, and at the end one JSON line: acknowledged writes, errors that reached a user,
writes that a final scan did not find, for each side of the border the longest gap between two acknowledged writes, and
with --timeline the acknowledged writes of each tenth of a second of the monotonic clock, which all processes share.
--seconds 0: until standard input ends.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections import Counter
from itertools import pairwise
from typing import Any

VALUE = b"v" * 128
SCAN_LIMIT = 10_000


class Writers:
    """What the clients have seen. Times are seconds of the monotonic clock."""

    def __init__(self, prefix: bytes, border: bytes) -> None:
        self.acknowledged: list[tuple[float, bytes]] = []
        self.errors: list[str] = []
        self.stopping = False
        self._prefix = prefix
        self._border = border
        self._rng = random.Random(1)

    async def write(self, client: Any) -> None:
        """Put new keys until told to stop."""
        while not self.stopping:
            key = self._prefix + b"%09d" % self._rng.randrange(10**9)
            try:
                await client.put(key, VALUE)
            except Exception as error:
                self.errors.append(f"{key!r}: {error}")
            else:
                self.acknowledged.append((time.monotonic(), key))

    def longest_gap_ms(self, began: float, is_left: bool) -> float:
        """Between two acknowledged writes left of the border, or right of it, since ``began``."""
        border = self._prefix + self._border
        times = [when for when, key in self.acknowledged if when >= began and (key < border) == is_left]
        return max((later - earlier for earlier, later in pairwise(times)), default=float("inf")) * 1000

    def timeline(self) -> dict[str, object]:
        """The number of the first tenth of a second, and the acknowledged writes of it and of those that follow."""
        counts = Counter(int(when * 10) for when, _ in self.acknowledged)
        first, last = min(counts, default=0), max(counts, default=0)
        return {"first": first, "counts": [counts[tenth] for tenth in range(first, last + 1)]}


async def scan_keys(client: Any, prefix: bytes) -> set[bytes]:
    """All keys with the prefix."""
    found: set[bytes] = set()
    start = prefix
    while rows := await client.scan(start, prefix + b"\xff", SCAN_LIMIT):
        found.update(key for key, _ in rows)
        start = rows[-1][0] + b"\x00"
    return found


async def run(arguments: argparse.Namespace) -> dict[str, object]:
    """One run; see the module."""
    from tikv_client.asynchronous import RawClient

    prefix = arguments.prefix.encode()
    clients = [await RawClient.connect([arguments.pd]) for _ in range(arguments.clients)]
    writers = Writers(prefix, arguments.border.encode())
    tasks = [asyncio.create_task(writers.write(client)) for client in clients]
    # Each client's first writes open its connections and learn its regions.
    await asyncio.sleep(arguments.warm_up)
    print("writing", flush=True)
    began = time.monotonic()
    if arguments.seconds:
        await asyncio.sleep(arguments.seconds)
    else:
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    seconds = time.monotonic() - began
    writers.stopping = True
    await asyncio.wait(tasks)
    present = await scan_keys(clients[0], prefix)
    found: dict[str, object] = {
        "acknowledged": len(writers.acknowledged),
        "puts_per_s": round(sum(when >= began for when, _ in writers.acknowledged) / seconds),
        "errors": writers.errors[:5],
        "lost": sum(key not in present for _, key in writers.acknowledged),
        "gap_left_ms": round(writers.longest_gap_ms(began, True), 1),
        "gap_right_ms": round(writers.longest_gap_ms(began, False), 1),
    }
    return found | ({"timeline": writers.timeline()} if arguments.timeline else {})


def main(argv: list[str] | None = None) -> None:
    """Run once and print the line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pd", default="127.0.0.1:2379")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--warm-up", type=float, default=1.0)
    parser.add_argument("--prefix", default="load/")
    parser.add_argument("--border", default="5", help="what follows the prefix in the first key of the right side")
    parser.add_argument("--timeline", action="store_true")
    print(json.dumps(asyncio.run(run(parser.parse_args(argv)))))


if __name__ == "__main__":
    main()
