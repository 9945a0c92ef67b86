"""The verdict as text, as rows and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from flaredb.cli.output import Column, Facts, Table
from flaredb.cli.status.facts import ClusterFacts, StoreFacts
from flaredb.cli.status.verdict import Level, Verdict
from flaredb.cli.status.words import ago
from flaredb.model.limits import MIB

LEVEL_STYLES = {Level.HEALTHY: "bold green", Level.DEGRADED: "bold yellow", Level.UNAVAILABLE: "bold red"}

COLUMNS = (
    Column("store", True),
    Column("address"),
    Column("state"),
    Column("heard", True),
    Column("leaders", True),
    Column("regions", True),
    Column("lagging", True),
    Column("MiB", True),
    Column("disk free", True),
)


def lines(verdict: Verdict) -> Iterator[tuple[str, str]]:
    """(text, rich style), the verdict's sentence first."""
    yield verdict.sentence, LEVEL_STYLES[verdict.level]
    for text in (verdict.survives_sentence, verdict.moving_sentence):
        if text:
            yield text, ""
    for note in verdict.notes:
        yield note, "yellow"


def store_state(store: StoreFacts, verdict: Verdict) -> str:
    """In a word or two; what is seen from here goes before what PD has not noticed yet."""
    if store.id in verdict.gone and store.state == "Up":
        return "no answer"
    return {"Offline": "draining"}.get(store.state, store.state)


def store_table(facts: ClusterFacts, verdict: Verdict) -> Table:
    """A row for each store."""
    table = Table(COLUMNS, note="" if facts.stores else "no store has joined yet")
    for store in facts.stores:
        table.rows.append(
            [
                str(store.id),
                store.address,
                store_state(store, verdict),
                f"{ago(store.silent_s)} ago" if store.silent_s < 1e8 else "never",
                str(store.leaders),
                str(store.regions),
                str(store.pending),
                f"{store.size_mib:,}",
                disk(store),
            ]
        )
    return table


def facts_view(verdict: Verdict) -> Facts:
    """Names and values, for programs that want no JSON."""
    counts = verdict.counts
    pairs = [
        ("verdict", verdict.level.name.lower()),
        ("sentence", verdict.sentence),
        ("survives_store_failures", str(verdict.survives)),
        ("survives", verdict.survives_sentence),
        ("regions", str(counts.all)),
        ("regions_without_majority", str(counts.without_majority)),
        ("regions_without_leader", str(counts.without_leader)),
        ("regions_short_of_replicas", str(counts.short)),
        ("regions_lagging", str(counts.lagging)),
        ("regions_moving", str(verdict.moving)),
        ("moving", verdict.moving_sentence),
        ("remaining_s", "" if verdict.remaining_s is None else f"{verdict.remaining_s:.0f}"),
    ]
    return Facts([*pairs, *(("note", note) for note in verdict.notes)])


def json_view(facts: ClusterFacts | None, verdict: Verdict) -> dict[str, Any]:
    """All of it; names carry their units. ``facts`` None: PD did not answer."""
    counts = verdict.counts
    return {
        "verdict": verdict.level.name.lower(),
        "sentence": verdict.sentence,
        "survives": {"store_failures": verdict.survives, "why": verdict.survives_sentence},
        "regions": {
            "all": counts.all,
            "without_majority": counts.without_majority,
            "without_leader": counts.without_leader,
            "short_of_replicas": counts.short,
            "lagging": counts.lagging,
        },
        "moving": {
            "regions": verdict.moving,
            "sentence": verdict.moving_sentence,
            "remaining_s": None if verdict.remaining_s is None else round(verdict.remaining_s, 1),
            "operators": [] if facts is None else [asdict(move) for move in facts.moves],
        },
        "notes": list(verdict.notes),
        "stores": [] if facts is None else [_store(store, verdict) for store in facts.stores],
    }


def _store(store: StoreFacts, verdict: Verdict) -> dict[str, Any]:
    return {
        "id": store.id,
        "address": store.address,
        "state": store.state,
        "answers": {"answers": True, "gone": False}.get(store.reach),
        "serves": store.id not in verdict.gone,
        "silent_s": round(store.silent_s, 1) if store.silent_s < 1e8 else None,
        "leaders": store.leaders,
        "regions": store.regions,
        "lagging": store.pending,
        "size_mib": store.size_mib,
        "available_bytes": store.available_bytes,
        "capacity_bytes": store.capacity_bytes,
        "version": store.version,
    }


def disk(store: StoreFacts) -> str:
    """ "12.3 GiB (40%)"."""
    if not store.capacity_bytes:
        return ""
    share = 100 * store.available_bytes / store.capacity_bytes
    return f"{size(store.available_bytes)} ({share:.0f}%)"


def size(size_bytes: float) -> str:
    """Three digits and a unit: "1.2 GiB"."""
    number = size_bytes / MIB
    for unit in ("MiB", "GiB", "TiB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1024
    return f"{number:.3g} PiB"
