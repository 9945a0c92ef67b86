"""``python -m bench [WHAT] ...``: measurements anyone can run; ``python -m bench WHAT --help`` tells the options."""

from __future__ import annotations

import importlib
import sys

MEASUREMENTS = {
    "compare": "FlareDB against etcd on this machine (the default; make bench)",
    "client": "the Python clients: FlareDB's, TiKV's official one, etcd's",
    "quick": "a few workloads on FlareDB alone, by a generator in Python, and the Raft core alone",
    "reads": "reads by lease against reads by ReadIndex",
    "split": "splits and many regions",
    "moves": "moves between stores",
    "idle": "regions at rest, and a restart with a long log",
    "many": "puts over many regions, store cores alone",
    "profile": "where a store's time goes",
    "store_core": "the store cores alone: CPU time of a put",
    "ab": "two versions of FlareDB against each other",
    "front_limit": "what a unary call costs before FlareDB does anything",
    "cold_start": "what a cold command of the command line costs",
    "sim": "the simulator: simulated cluster-hours per minute",
}
DEFAULT = "compare"


def main(argv: list[str] | None = None) -> None:
    """Run one of them."""
    argv = sys.argv[1:] if argv is None else argv
    name = argv[0] if argv[:1] and not argv[0].startswith("-") else ""
    if argv[:1] in (["--help"], ["-h"]):
        print(__doc__, *(f"{each:12} {about}" for each, about in MEASUREMENTS.items()), sep="\n")
        return
    if name and name not in MEASUREMENTS:
        raise SystemExit(f"no measurement {name!r}; there are {', '.join(MEASUREMENTS)}")
    importlib.import_module(f"bench.{name or DEFAULT}").main(argv[1:] if name else argv)


if __name__ == "__main__":
    main()
