"""What a benchmark tells: a table, a sentence on how it was measured, JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flaredb.cli.bench.latency import Latencies
from flaredb.cli.bench.load import Load, Results, Second
from flaredb.cli.output import Column, Table
from flaredb.cli.status.words import count

PERCENTILES = (50, 90, 99, 99.9)
LATE_S = 0.005
"""Calls that begin later than that after their time are worth a word."""


def describe(load: Load) -> str:
    """The load in a sentence."""
    what = {
        "put": f"puts of {load.value_bytes:,} B",
        "get": f"gets of {load.value_bytes:,} B",
        "mixed": f"{load.read_percent:g} % gets, the rest puts, of {load.value_bytes:,} B",
        "scan": f"scans of {load.scan_rows:,} rows of {load.value_bytes:,} B",
    }[load.workload]
    how = f"{load.rate:,.0f} calls due a second" if load.rate else f"{count(load.concurrency, 'caller')} at a time"
    return f"{what}; {load.keys:,} keys; {how}, for {load.seconds:g} s after {load.warm_up_s:g} s of warm-up"


def result_table(results: Results) -> Table:
    """A row for each kind of call, and one for all if there are several."""
    columns = [Column("calls"), Column("done", True), Column("per second", True)]
    columns += [Column(f"p{percent:g} ms", True) for percent in PERCENTILES]
    table = Table([*columns, Column("max ms", True)])
    kinds = dict(sorted(results.latencies.items()))
    if len(kinds) > 1:
        kinds["all"] = results.all()
    for kind, item in kinds.items():
        cells = [kind, f"{item.count:,}", f"{_rate(item, results):,.0f}"]
        cells += [millis(item.percentile(percent)) for percent in PERCENTILES]
        table.rows.append([*cells, millis(item.max_s)])
    return table


def remarks(load: Load, results: Results) -> Iterator[tuple[str, bool]]:
    """(sentence, whether it is bad news): what the table does not say."""
    if load.rate:
        yield "Latencies count from the moment a call was due, also where it had to wait to be sent.", False
    else:
        yield (
            "Each caller waits for its answer before it asks again; give --rate to see what waiting callers see.",
            False,
        )
    if results.rows:
        yield f"{results.rows / max(results.measured_s, 1e-9):,.0f} rows a second were read.", False
    if results.failed:
        kinds = ", ".join(f"{number:,}x {what}" for what, number in sorted(results.errors.items(), key=_most_first))
        yield f"{count(results.failed, 'call')} failed: {kinds}.", True
    if results.unsent:
        yield (
            f"{count(results.unsent, 'call')} that were due could not be sent in time, and are in no figure above: the "
            f"rate is more than the cluster, or {load.concurrency:,} calls under way (--concurrency), allow.",
            True,
        )
    elif load.rate and results.late.percentile(99) > LATE_S:
        yield f"1 % of the calls began more than {millis(results.late.percentile(99))} ms after they were due.", True


def result_json(load: Load, results: Results) -> dict[str, Any]:
    """All of it; names carry their units."""
    kinds = {**results.latencies, "all": results.all()}
    return {
        "load": {
            "workload": load.workload,
            "loop": "open" if load.rate else "closed",
            "rate_per_s": load.rate or None,
            "concurrency": load.concurrency,
            "keys": load.keys,
            "value_bytes": load.value_bytes,
            "seconds": load.seconds,
            "warm_up_s": load.warm_up_s,
            "read_percent": load.read_percent if load.workload == "mixed" else None,
            "scan_rows": load.scan_rows if load.workload == "scan" else None,
            "prefix": load.prefix.decode(),
            "seed": load.seed,
        },
        "measured_s": round(results.measured_s, 3),
        "calls": {kind: _kind(item, results) for kind, item in kinds.items()},
        "errors": results.errors,
        "failed": results.failed,
        "unsent": results.unsent,
        "late_start_p99_ms": _ms(results.late.percentile(99)) if load.rate else None,
        "rows_per_s": round(results.rows / results.measured_s, 1) if results.measured_s else 0.0,
        "done_each_second": [second.latencies.count for second in results.seconds],
        "failed_each_second": [second.errors for second in results.seconds],
    }


def second_line(number: int, second: Second) -> str:
    """One second, for people who watch."""
    item = second.latencies
    text = f"{number:>4} s  {item.count:>9,} calls/s"
    if item.count:
        text += f"   p50 {millis(item.percentile(50)):>7} ms   p99 {millis(item.percentile(99)):>7} ms"
        text += f"   max {millis(item.max_s):>7} ms"
    return text + (f"   {second.errors:,} failed" if second.errors else "")


def millis(seconds: float) -> str:
    """Three digits that count: "0.342", "12.3", "1,234"."""
    ms = seconds * 1_000
    if ms >= 1_000:
        return f"{ms:,.0f}"
    return f"{ms:.3g}" if ms >= 100 else f"{ms:.1f}" if ms >= 10 else f"{ms:.2f}" if ms >= 1 else f"{ms:.3f}"


def _kind(item: Latencies, results: Results) -> dict[str, Any]:
    found: dict[str, Any] = {"done": item.count, "per_s": round(_rate(item, results), 1), "mean_ms": _ms(item.mean_s)}
    for percent in PERCENTILES:
        found[f"p{percent:g}_ms"] = _ms(item.percentile(percent))
    return {**found, "max_ms": _ms(item.max_s)}


def _rate(item: Latencies, results: Results) -> float:
    return item.count / results.measured_s if results.measured_s else 0.0


def _ms(seconds: float) -> float:
    return round(seconds * 1_000, 4)


def _most_first(entry: tuple[str, int]) -> tuple[int, str]:
    return -entry[1], entry[0]
