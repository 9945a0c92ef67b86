"""One region becomes dozens under load: starts a demo whose regions split at 64 KiB, writes rows through the official
Python client while they split, and compares a full scan with what was written.

    .venv/bin/python scripts/load_and_split.py [--rows 4000] [--regions 24]

Exits with 1 and one line that says what is wrong, if anything is.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from flaredb.cli.official_client import connected, scan_all
from flaredb.cli.probe import Probe, RegionView
from flaredb.cli.waiting import wait_until

SMALL_REGIONS = """\
[coprocessor]
region-split-size = "64KiB"
region-max-size = "96KiB"

[raftstore]
split-region-check-tick-interval = "100ms"
"""
VALUE_BYTES = 1_000
ROWS_PER_CALL = 50
DEADLINE_S = 120.0
SETTLED_S = 1.0


def main() -> int:
    """Run it; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=4_000)
    parser.add_argument("--regions", type=int, default=24, help="how many there must be in the end")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="flaredb-split-") as directory:
        ready, config = Path(directory, "ready.json"), Path(directory, "stores.toml")
        config.write_text(SMALL_REGIONS)
        command = [sys.executable, "-m", "flaredb", "demo", "--split-keys", "", "--config", str(config)]
        demo = subprocess.Popen([*command, "--ready-file", str(ready)], stdout=subprocess.DEVNULL)
        try:
            if not wait_until(lambda: ready.exists() or demo.poll() is not None, DEADLINE_S) or not ready.exists():
                return failed("the demo does not start")
            return load(json.loads(ready.read_text())["pd"], arguments.rows, arguments.regions)
        finally:
            demo.send_signal(signal.SIGINT)
            demo.wait(timeout=30)


def load(pd_address: str, row_count: int, regions_wanted: int) -> int:
    """Write the rows, then look at everything."""
    began_s = time.monotonic()
    rng = random.Random(4)
    rows = {b"row/%08x" % rng.getrandbits(32): rng.randbytes(VALUE_BYTES) for _ in range(row_count)}
    names = list(rows)
    with Probe(pd_address) as probe, connected(pd_address) as client:
        first = len(probe.regions())
        for at in range(0, len(names), ROWS_PER_CALL):
            client.batch_put({name: rows[name] for name in names[at : at + ROWS_PER_CALL]})
        took_s = time.monotonic() - began_s
        print(f"{len(rows)} rows of {VALUE_BYTES} bytes in {took_s:.1f} s; regions: {first} -> {len(probe.regions())}")
        if not wait_until(lambda: len(probe.regions()) >= regions_wanted, DEADLINE_S):
            return failed(f"there are {len(probe.regions())} regions, not {regions_wanted}")
        await_settled(probe)
    # A client of its own: one that knows the regions as they were gets an error for its first scan (docs/adr/0005).
    with Probe(pd_address) as probe, connected(pd_address) as client:
        found = read_all(client)
        if found != rows:
            lost = [name for name in rows if found.get(name) != rows[name]]
            return failed(f"the scan differs: {len(lost)} rows lost or wrong, {len(found)} of {len(rows)} found")
        regions = probe.regions()
        if not are_tiled(regions):
            return failed("the regions do not cover every key exactly once")
        print(
            f"{len(regions)} regions; no error while writing; a full scan gives exactly the {len(found)} rows written"
        )
    return 0


def await_settled(probe: Probe) -> None:
    """Until no region has split for a second."""
    last: list[int] = []
    changed_s = time.monotonic()

    def is_quiet() -> bool:
        nonlocal last, changed_s
        versions = [region.meta.region_epoch.version for region in probe.regions()]
        if versions != last:
            last, changed_s = versions, time.monotonic()
        return time.monotonic() - changed_s > SETTLED_S

    wait_until(is_quiet, DEADLINE_S)


def read_all(client: Any) -> dict[bytes, bytes]:
    """Every row, read across all borders."""
    return {key: value for page in scan_all(client, b"", None) for key, value in page}


def are_tiled(regions: list[RegionView]) -> bool:
    """True if the regions cover every key without gap or overlap."""
    starts = [region.meta.start_key for region in regions]
    ends = [region.meta.end_key for region in regions]
    return [*starts, b""] == [b"", *ends]


def failed(reason: str) -> int:
    """Say why; the exit status for it."""
    print(f"load_and_split: {reason}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
