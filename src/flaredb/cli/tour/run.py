"""The tour, part by part; moves are in moves.py."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from flaredb import __version__
from flaredb.cli.local_cluster import LocalCluster, StoreProcess
from flaredb.cli.official_client import RawClient, scan_all
from flaredb.cli.probe import Probe, ProbeFailed, RegionView, applied_index, asked_again
from flaredb.cli.tables import regions_table
from flaredb.cli.tour.clients import tour_clients
from flaredb.cli.tour.data import other_value, unicode_names
from flaredb.cli.tour.moves import move_regions
from flaredb.cli.tour.report import Part, TourReport
from flaredb.cli.tour.state import Tour, TourFailed
from flaredb.cli.waiting import wait_until
from flaredb.model.keys import format_key

BATCH_PUT_PAIRS = 500
BATCH_GET_KEYS = 1_000
KEYS_ON_EACH_SIDE = 3_000
REWRITTEN_KEYS = 1_000
FAILOVER_DEADLINE_S = 10.0
CATCH_UP_DEADLINE_S = 30.0


@dataclass(frozen=True, slots=True)
class Outage:
    """The store that was killed and the region, led by it, that is watched."""

    store: StoreProcess
    region: RegionView
    killed_at_s: float
    applied: dict[int, int] = field(default_factory=dict)
    """How far the store had applied each region's log before it was killed."""


def run_tour(cluster: LocalCluster, start_took_s: float) -> int:
    """Run every part on a cluster that serves; 0.

    Errors: TourFailed for any mismatch.
    """
    from rich.console import Console

    report = TourReport(Console(soft_wrap=True))
    plan = cluster.plan
    start = Part("start", [f"PD {plan.pd_address} and {len(plan.stores)} stores, each a process with its own RocksDB"])
    with tour_clients(plan.pd_address) as clients, Probe(plan.pd_address) as probe:
        report.console.print(f"FlareDB {__version__}: a tour with {clients.describe()}\n", highlight=False)
        report.add(start, start_took_s)
        tour = Tour(cluster, clients, probe, report)
        load(tour)
        read_back(tour)
        scan_border(tour)
        show_regions(tour)
        if len(plan.stores) >= 3:
            outage = kill_leader(tour)
            go_on(tour, outage)
            restart(tour, outage)
            move_regions(tour)
        verify(tour)
    conclude(tour)
    return 0


def load(tour: Tour) -> None:
    """Write the whole data set in batches, into a cluster that was empty."""
    with tour.report.part("load") as part:
        if tour.client.scan(b"", None, 1):
            raise TourFailed("the tour needs an empty cluster, but there is data already: choose a new --data-dir")
        tour.expected = unicode_names()
        pairs = list(tour.expected.items())
        batches = [dict(pairs[at : at + BATCH_PUT_PAIRS]) for at in range(0, len(pairs), BATCH_PUT_PAIRS)]
        for batch in tour.report.each(batches, "writing"):
            tour.client.batch_put(batch)
        part.say(f"{len(pairs):,} names of Unicode characters written, {BATCH_PUT_PAIRS} per batch")


def read_back(tour: Tour) -> None:
    """Read every key by batches and compare with the source."""
    with tour.report.part("read back") as part:
        _compare_all(tour, tour.client, "reading")
        part.say(f"{len(tour.expected):,} values read in batches, all equal to Python's unicodedata")
        if tour.clients.second is not None:
            _compare_all(tour, tour.clients.second, "reading again")
            part.say(f"and again by {tour.clients.second_name}: the same")


def scan_border(tour: Tour) -> None:
    """Scan over the border between the first two regions and compare rows and order with the source."""
    with tour.report.part("scan") as part:
        keys = sorted(tour.expected)
        border = tour.probe.regions()[0].meta.end_key
        middle = sum(key < border for key in keys) if border else len(keys) // 2
        wanted = keys[max(0, middle - KEYS_ON_EACH_SIDE) : middle + KEYS_ON_EACH_SIDE]
        rows = [row for page in scan_all(tour.client, wanted[0], wanted[-1] + b"\x00") for row in page]
        _compare(f"scan from {format_key(wanted[0])}", rows, [(key, tour.expected[key]) for key in wanted])
        across = f"across the region border at {format_key(border)}" if border else "in the only region"
        part.say(f"{len(rows):,} rows {across}, in order, none missing or twice")


def show_regions(tour: Tour) -> None:
    """Print regions, leaders and replicas."""
    regions = tour.probe.regions()
    counts = {region.id: sum(map(region.contains, tour.expected)) for region in regions}
    names = {store.store_id: store.child.name for store in tour.cluster.stores}
    tour.report.console.print()
    tour.report.console.print(regions_table(regions, counts, names))


def kill_leader(tour: Tour) -> Outage:
    """SIGKILL the process that leads the last region."""
    with tour.report.part("kill") as part:
        regions = tour.probe.regions()
        region = _led(regions[-1])
        store = tour.cluster.store_of(region.leader_store_id)
        applied = {each.id: applied_index(store.ports.status_address, each.id) for each in regions}
        pid = store.child.pid
        store.child.kill()
        part.say(f"{store.child.name} (pid {pid}), leader of region {region.id}, ended by SIGKILL")
        return Outage(store, region, time.monotonic(), applied)


def go_on(tour: Tour, outage: Outage) -> None:
    """Write to and read from the region whose leader is gone; measure until the first write is acknowledged."""
    with tour.report.part("go on") as part:
        keys = [key for key in sorted(tour.expected) if outage.region.contains(key)]
        chosen = keys[:: max(1, len(keys) // REWRITTEN_KEYS)][:REWRITTEN_KEYS]
        refusals = _put_until_accepted(tour, chosen[0])
        pause_s = time.monotonic() - outage.killed_at_s
        for key in tour.report.each(chosen[1:], "writing"):
            _put_other_value(tour, key)
        got = tour.client.batch_get(chosen)
        _compare("read after the leader's end", sorted(got), [(key, tour.expected[key]) for key in chosen])
        heard = f"the client saw {refusals} error{'s' * (refusals > 1)}" if refusals else "the client saw no error"
        part.say(f"writes resumed {pause_s:.2f} s after the kill; {heard}")
        part.say(f"{len(chosen):,} keys of region {outage.region.id} rewritten and read with one store missing")


def restart(tour: Tour, outage: Outage) -> None:
    """Start the killed store again on its data and wait until it has applied what it missed."""
    with tour.report.part("restart") as part:
        outage.store.child.start()
        tour.cluster.learn_store(outage.store)
        part.say(f"{outage.store.child.name} serves again on its old data (pid {outage.store.child.pid})")
        for region in tour.probe.regions():
            if any(peer.store_id == outage.store.store_id for peer in region.meta.peers):
                part.say(_wait_caught_up(tour, outage, region))


def verify(tour: Tour) -> None:
    """Scan the whole key space and read every key again; compare both with all acknowledged writes."""
    with tour.report.part("verify") as part:
        clients = [client for client in (tour.client, tour.clients.second) if client is not None]
        for client in clients:
            rows = [row for page in scan_all(client, b"", None) for row in page]
            _compare("scan of all keys", rows, sorted(tour.expected.items()))
            _compare_all(tour, client, "verifying")
        by = "both clients" if len(clients) > 1 else "scan and in batches"
        part.say(f"{len(tour.expected):,} keys by {by}: every acknowledged write is there, nothing else")


def conclude(tour: Tour) -> None:
    """Sum up what was verified."""
    total_s = sum(took_s for _, took_s in tour.report.durations_s)
    survived = (
        "nothing was lost when a leader's process was killed and regions moved"
        if len(tour.cluster.stores) >= 3
        else "nothing was lost"
    )
    tour.report.console.print(
        f"\nVerified in {total_s:.1f} s: {len(tour.expected):,} keys equal their source; {survived}.", highlight=False
    )


def _put_until_accepted(tour: Tour, key: bytes) -> int:
    """Errors that the client raised before it took the write; the write is repeatable, so trying again is safe."""
    refusals = 0
    end_s = time.monotonic() + FAILOVER_DEADLINE_S
    while True:
        try:
            _put_other_value(tour, key)
            return refusals
        except Exception as error:  # the client raises its own Exception type without a common base
            refusals += 1
            if time.monotonic() >= end_s:
                raise TourFailed(
                    f"no write was accepted within {FAILOVER_DEADLINE_S:g} s of the kill: {error}"
                ) from error


def _put_other_value(tour: Tour, key: bytes) -> None:
    value = other_value(tour.expected[key])
    tour.client.put(key, value)
    tour.expected[key] = value


def _wait_caught_up(tour: Tour, outage: Outage, region: RegionView) -> str:
    """A line that tells how far the store was when it was killed, and how far it is.

    Errors: TourFailed if it does not reach the leader in time.
    """
    store = outage.store
    target = asked_again(lambda: applied_index(_leader_status_address(tour, region.id), region.id), CATCH_UP_DEADLINE_S)
    last = 0

    def caught_up() -> bool:
        nonlocal last
        last = asked_again(lambda: applied_index(store.ports.status_address, region.id), CATCH_UP_DEADLINE_S)
        return last >= target

    if not wait_until(caught_up, CATCH_UP_DEADLINE_S):
        raise TourFailed(
            f"{store.child.name} has applied {last} of {target} entries of region {region.id} after "
            f"{CATCH_UP_DEADLINE_S:g} s; log: {store.child.log_path}"
        )
    before = outage.applied.get(region.id, 0)
    return f"region {region.id}: applied index {before} when killed, {last} now; its leader's was {target}"


def _leader_status_address(tour: Tour, region_id: int) -> str:
    """Status address of the store that leads the region now.

    Errors: ProbeFailed while no running store does.
    """
    region = next(region for region in tour.probe.regions() if region.id == region_id)
    if not region.leader_store_id:
        raise ProbeFailed(f"region {region_id} has no leader")
    return tour.cluster.store_of(region.leader_store_id).ports.status_address


def _led(region: RegionView) -> RegionView:
    if not region.leader_store_id:
        raise TourFailed(f"region {region.id} has no leader; see the table above")
    return region


def _compare_all(tour: Tour, client: RawClient, label: str) -> None:
    keys = list(tour.expected)
    for at in tour.report.each(range(0, len(keys), BATCH_GET_KEYS), label):
        some = keys[at : at + BATCH_GET_KEYS]
        got = client.batch_get(some)
        wanted = [(key, tour.expected[key]) for key in sorted(some)]
        _compare(f"batch from {format_key(some[0])}", sorted(got), wanted)


def _compare(what: str, got: Sequence[tuple[bytes, bytes]], expected: Sequence[tuple[bytes, bytes]]) -> None:
    """Raise TourFailed with the first difference unless both are the same rows in the same order."""
    if list(got) == list(expected):
        return
    raise TourFailed(f"{what}: {first_difference(got, expected)}")


def first_difference(got: Sequence[tuple[bytes, bytes]], expected: Sequence[tuple[bytes, bytes]]) -> str:
    """In words, where two lists of rows part."""
    values: Mapping[bytes, bytes] = dict(got)
    for key, value in expected:
        if key not in values:
            return f"{format_key(key)} is missing ({len(got)} rows instead of {len(expected)})"
        if values[key] != value:
            return f"{format_key(key)} has the value {values[key]!r}, written was {value!r}"
    extra = values.keys() - dict(expected).keys()
    if extra:
        return f"{format_key(min(extra))} was never written ({len(got)} rows instead of {len(expected)})"
    return "the rows are right, but not in order or not once each"
