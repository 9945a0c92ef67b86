"""Figures of moves between stores: ``python -m bench moves [--only move,grow,dead,giant] [--mib 64] [--rounds 5]``.

move:   64 official clients write into a region while a replica of it is moved to a store that has none: time from the
        order to the end, phase by phase, against a plain copy of as many bytes under the same load; throughput before
        and during
grow:   30 regions of 2 MiB on three stores; a fourth joins: how even it ends, after what time and how many operators
dead:   one of four stores is killed for good: time until every region has three replicas again
giant:  1 GiB in 10 regions leaves a store for a new one: growth of resident memory, and leaders that changed
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import dataclass, field
from typing import Any

from bench.demo import await_true, pause
from bench.move_rig import SETTLE_SECONDS_MAX, Load, MoveRig
from bench.snapshot_stream import compare

from flaredb.cli.probe import status_json
from flaredb.model.limits import MIB

FIGURES = ("move", "grow", "dead", "giant")
CLIENTS = 64
BEFORE_SECONDS = 2.0
STREAM_BYTES_PER_SECOND = 100 * MIB
"""The pace of a store's snapshots unless told otherwise."""

STILL_SECONDS = 3.0
ENGINE_BYTES = (64 + 64 + 64) * MIB
"""What RocksDB is configured to take: block cache, memtables, and as much again while these are flushed."""

PHASES = (
    ("replica created", "learner's replica made"),
    ("snapshot sent", "snapshot sent"),
    ("snapshot is being installed", "snapshot taken by Raft"),
    ("snapshot is installed", "rows installed"),
)


@dataclass(slots=True)
class Move:
    """One move. Times in seconds; ``phases`` since the order."""

    ordered_s: float
    done_s: float = 0.0
    phases: list[tuple[str, float]] = field(default_factory=list)

    @property
    def took_s(self) -> float:
        """From the order until PD's operator has ended and the rows are installed."""
        return self.done_s - self.ordered_s


def move(mib: int, rounds: int, value_bytes: int, config: Any = None, data_dir: str | None = None) -> None:
    """See the module."""
    with MoveRig(3, (), data_dir, config) as rig:
        rig.hold_still()
        rig.add_store()
        rig.fill(mib * MIB, value_bytes)
        pause(1.0)
        moves: list[Move] = []
        with Load(rig.pd_address, CLIENTS, "row-5") as load:
            pause(1.0)
            strict = compare(mib * MIB, 3, data_dir)
            paced = compare(mib * MIB, 3, data_dir, STREAM_BYTES_PER_SECOND)
            for _ in range(rounds):
                pause(BEFORE_SECONDS)
                moves.append(_move_once(rig))
    _print_moves(moves, load, mib, value_bytes)
    took = statistics.median(each.took_s for each in moves)
    for what, copy_s in (("at the pace of a store's snapshots", paced.copy_s), ("as fast as it goes", strict.copy_s)):
        print(f"  plain copy {what}: {copy_s:.2f} s; the move takes {took / copy_s:.2f} times as long")


def _move_once(rig: MoveRig) -> Move:
    """Move a follower's replica to the store without one."""
    (region,) = rig.regions()
    here = rig.replicas(region)
    source = min(store_id for store_id in here if store_id != region.leader_store_id)
    (target,) = (store for store in rig.local.stores if store.store_id not in here)
    wall_s = time.time()
    made = Move(time.monotonic())
    rig.order("transfer-peer", region.id, from_store_id=source, to_store_id=target.store_id)
    await_true(
        lambda: not rig.pd.get("/operators") and _is_installed(rig, target.child.name, wall_s),
        SETTLE_SECONDS_MAX,
        "the move",
    )
    pause(0.2)
    made.phases = _phases(rig, wall_s)
    made.done_s = made.ordered_s + max(at_s for _, at_s in made.phases)
    return made


def _is_installed(rig: MoveRig, name: str, since_s: float) -> bool:
    return any(who == name and line.event == "snapshot is installed" for who, line in rig.log_lines(since_s))


def _phases(rig: MoveRig, since_s: float) -> list[tuple[str, float]]:
    """What the logs say of the move, in order."""
    found: dict[str, float] = {}
    names = dict(PHASES)
    changes = set()
    for _, line in rig.log_lines(since_s):
        at_s = line.at_s - since_s
        if line.event in names:
            found.setdefault(names[line.event], at_s)
        elif line.event == "members changed":
            changes.add((int(line.fields["conf_ver"]), at_s))
        elif line.event == "order refused":
            found[f"refused ({line.fields['reason']})"] = at_s
        elif line.event == "replica destroyed":
            found.setdefault("old replica destroyed", at_s)
        elif line.event.startswith("operator ended"):
            found["operator ended"] = at_s
    first: dict[int, float] = {}
    for conf_ver, at_s in sorted(changes):
        first.setdefault(conf_ver, at_s)
    for number, at_s in enumerate(first.values()):
        found[("learner is a member", "joint: in", "joint: out", "old replica is none")[min(number, 3)]] = at_s
    return sorted(found.items(), key=lambda item: item[1])


def _print_moves(moves: list[Move], load: Load, mib: int, value_bytes: int) -> None:
    print(f"moves of {mib} MiB in rows of {value_bytes} bytes under {CLIENTS} writing clients:")
    shares = []
    for each in moves:
        before = load.rate(each.ordered_s - BEFORE_SECONDS, each.ordered_s)
        during = load.rate(each.ordered_s, each.done_s)
        shares.append(during / before)
        print(f"  {each.took_s:5.2f} s; puts/s {before:7,.0f} before, {during:7,.0f} during: {during / before:4.0%}")
        print("        " + ", ".join(f"{name} {at_s:.2f}" for name, at_s in each.phases))
    print(
        f"  median {statistics.median(each.took_s for each in moves):.2f} s, puts {statistics.median(shares):.0%}; "
        f"{load.found['lost']} of {load.found['acknowledged']:,} writes lost, {len(load.found['errors'])} errors"
    )


# ------------------------------------------------ the others


def grow(regions: int = 30, mib_each: int = 2, data_dir: str | None = None) -> None:
    """See the module."""
    prefixes = [b"%02d/" % number for number in range(regions)]
    with MoveRig(3, [prefix.decode() for prefix in prefixes[1:]], data_dir) as rig:
        rig.fill(regions * mib_each * MIB, 1024, prefixes)
        _await_sizes(rig, regions * mib_each * 3)
        rig.await_idle(STILL_SECONDS)
        count_before = len(rig.operators())
        before = rig.store_loads()
        rig.add_store()
        began = time.monotonic()
        ended = rig.await_idle(STILL_SECONDS)
        after = rig.store_loads()
        print(f"a fourth store joins {regions} regions of {mib_each} MiB: {ended - began:.1f} s until nothing moves")
        print(f"  {len(rig.operators()) - count_before} operators; replicas, leaders, MiB by store:")
        for what, loads in (("before", before), ("after", after)):
            print(f"  {what:7}" + "   ".join("/".join(map(str, each.values())) for each in loads))
        for name in ("leader_count", "region_size"):
            counts = [each[name] for each in after]
            mean = sum(counts) / len(counts)
            off = max(abs(count - mean) for count in counts)
            allowed = max(0.1 * mean, 1 if name == "leader_count" else mib_each)
            verdict = "even" if off <= allowed else "UNEVEN"
            print(f"  {name}: at most {off:.1f} from the mean of {mean:.1f} ({allowed:.1f} allowed): {verdict}")


def _await_sizes(rig: MoveRig, mib: int) -> None:
    """Until leaders have told PD how large their regions are."""
    await_true(
        lambda: sum(each["region_size"] for each in rig.store_loads()) >= 0.8 * mib, SETTLE_SECONDS_MAX, "the sizes"
    )


def dead(regions: int = 12, mib_each: int = 2, data_dir: str | None = None) -> None:
    """See the module."""
    prefixes = [b"%02d/" % number for number in range(regions)]
    with MoveRig(4, [prefix.decode() for prefix in prefixes[1:]], data_dir) as rig:
        rig.fill(regions * mib_each * MIB, 1024, prefixes)
        rig.await_idle(STILL_SECONDS)
        victim = rig.local.stores[0]
        held = sum(victim.store_id in rig.replicas(region) for region in rig.regions())
        victim.child.kill()
        began = time.monotonic()
        await_true(
            lambda: rig.are_whole() and not any(victim.store_id in rig.replicas(region) for region in rig.regions()),
            SETTLE_SECONDS_MAX,
            "three replicas of everything",
        )
        print(
            f"a store with {held} of {regions} regions of {mib_each} MiB is killed: three live replicas of each "
            f"after {time.monotonic() - began:.1f} s (max-store-down-time 3 s)"
        )


def giant(regions: int = 10, mib: int = 1024, data_dir: str | None = None) -> None:
    """See the module."""
    prefixes = [b"%02d/" % number for number in range(regions)]
    with MoveRig(3, [prefix.decode() for prefix in prefixes[1:]], data_dir) as rig:
        rows = rig.fill(mib * MIB, 1024, prefixes)
        leaving = rig.local.stores[0]
        rig.pd.post("/schedulers", {"name": "evict-leader-scheduler", "store_id": leaving.store_id})
        rig.set(**{"region-schedule-limit": 0})
        await_true(
            lambda: all(region.leader_store_id != leaving.store_id for region in rig.regions()),
            SETTLE_SECONDS_MAX,
            "leaders elsewhere",
        )
        rig.await_idle(1.0)
        rig.set(**{"leader-schedule-limit": 0})
        rig.add_store()
        pause(STILL_SECONDS)
        terms_before = _terms(rig)
        wall_s, began = time.time(), time.monotonic()
        with rig.memory() as memory:
            rig.pd.delete(f"/store/{leaving.store_id}")
            await_true(
                lambda: _is_tombstone(rig, leaving.store_id) and rig.are_whole(), SETTLE_SECONDS_MAX, "the drain"
            )
        took_s = time.monotonic() - began
        terms = _terms(rig)
        changes = sum(terms[region_id] - term for region_id, term in terms_before.items())
        print(f"{mib} MiB in {regions} regions leave a store for a new one: {took_s:.1f} s, {mib / took_s:.0f} MiB/s")
        for name, (before, peak) in memory.items():
            print(f"  {name}: {before / MIB:.0f} MiB resident before, {(peak - before) / MIB:+.0f} MiB at the peak")
        installed = sum(
            int(line.fields["keys"]) for _, line in rig.log_lines(wall_s) if line.event == "snapshot is installed"
        )
        print(f"  rows installed: {installed:,} of {rows:,}")
        print(f"  elections, by the terms of all regions: {changes}")


def _is_tombstone(rig: MoveRig, store_id: int) -> bool:
    return bool(rig.pd.get(f"/store/{store_id}")["store"]["state_name"] == "Tombstone")


def _terms(rig: MoveRig) -> dict[int, int]:
    """Raft's term of every region: it grows with every election."""
    found = {}
    for region in rig.regions():
        leader = rig.local.store_of(region.leader_store_id)
        found[region.id] = int(status_json(leader.ports.status_address, f"/region/{region.id}")["term"])
    return found


def main(argv: list[str] | None = None) -> None:
    """Print the figures asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(FIGURES), help="with commas between")
    parser.add_argument("--mib", type=int, default=64, help="size of the region that is moved")
    parser.add_argument("--value-bytes", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data-dir", default=None, help="on the disk to measure")
    arguments = parser.parse_args(argv)
    figures = arguments.only.split(",")
    if not set(figures) <= set(FIGURES):
        parser.error(f"--only takes some of {','.join(FIGURES)}")
    if "move" in figures:
        move(arguments.mib, arguments.rounds, arguments.value_bytes, data_dir=arguments.data_dir)
    if "grow" in figures:
        grow(data_dir=arguments.data_dir)
    if "dead" in figures:
        dead(data_dir=arguments.data_dir)
    if "giant" in figures:
        giant(data_dir=arguments.data_dir)


if __name__ == "__main__":
    main()
