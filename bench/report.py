"""The table and the chart of a comparison (compare.py), from what results.json holds: ``python -m bench.report`` again.

Every figure of a row is the median of its rounds; every ratio is the median of the rounds' ratios.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.ratios import middle, ratio, spread

from flaredb.model.limits import MIB

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure to reach: ``figure`` is FlareDB's divided by etcd's."""

    what: str
    row: str
    figure: str
    at_least: float | None = None
    at_most: float | None = None

    def is_reached(self, value: float) -> bool:
        """True if the figure is within its bound."""
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)

    def bound(self) -> str:
        """As the table has it."""
        return f"at least {self.at_least:g}" if self.at_least is not None else f"at most {self.at_most:g}"


PUT, GET, READ_INDEX = "put, 256 in flight", "get, 256 in flight", "get, ReadIndex, 256 in flight"
GOALS = (
    Goal("puts/s, 256 in flight", PUT, "ops_per_s", at_least=2.0),
    Goal("puts/s, 1,024 in flight", "put, 1,024 in flight", "ops_per_s", at_least=2.5),
    Goal("p50 of a put alone", "put, 1 in flight", "p50_ms", at_most=1.3),
    Goal("gets/s by lease, 256 in flight", GET, "ops_per_s", at_least=2.5),
    Goal("gets/s by ReadIndex, 256 in flight", READ_INDEX, "ops_per_s", at_least=1.3),
    Goal("95 % get, 5 % put, 256 in flight", "95 % get, 5 % put, 256 in flight", "ops_per_s", at_least=2.5),
    Goal("server CPU of a put, 256 in flight", PUT, "server_cpu_s_per_1000", at_most=0.5),
    Goal("p99 of a put, 256 in flight", PUT, "p99_ms", at_most=0.8),
)
MEMORY_GOAL = Goal("memory of three servers", "memory", "", at_most=1.2)
RECOVERY_SECONDS_MAX = 1.0


def write_report(found: dict[str, Any], directory: Path) -> str:
    """Write table.md, chart.svg and chart.png beside results.json. Returns the table."""
    text = "\n".join(_parts(found)) + "\n"
    (directory / "table.md").write_text(text, encoding="utf-8")
    try:
        from bench.chart import draw
    except ImportError as error:
        return f"{text}\nno chart: {error}; pip install matplotlib (in the extra [bench])"
    draw(found, directory)
    return text


def _parts(found: dict[str, Any]) -> Iterable[str]:
    machine = found["machine"]
    yield "# FlareDB against etcd on the same machine\n"
    made = f"in {found['took_s']} s, {machine['date']}, commit {machine['commit']}"
    yield f"Made by `{found['command'].strip()}` {made}.\n"
    yield (
        f"{machine['cores']} cores ({machine['processor']}), {machine['memory_gib']} GiB, {machine['system']}, "
        f"fdatasync {machine['fsync_us']} us, load average before the run {machine['load_average']}. "
        f"Python {machine['python']}; {found['etcd'].replace(' Version:', '')}. Load by the {found['generator']}.\n"
    )
    yield (
        f"Three durable stores against three durable members; 128-byte values; {found['rounds']} rounds of "
        f"{found['seconds']:g} s, interleaved. FlareDB reads {found['reads']}. Ratios are FlareDB's figure divided by "
        "etcd's, medians over the rounds, with the lowest and highest round in brackets.\n"
    )
    yield from _goals(found)
    yield "## All rows\n"
    yield from _rows(found["rows"])
    yield from _memory(found.get("memory", []))
    yield from _recovery(found.get("recovery"))
    yield from _commands(found)


def _goals(found: dict[str, Any]) -> Iterable[str]:
    rows = {row["name"]: row for row in found["rows"]}
    yield "## Figures to reach\n"
    yield "| figure | to reach | measured | |\n|---|---|---|---|"
    for goal in GOALS:
        row = rows.get(goal.row)
        if row is None:
            continue
        if goal.row == GET and not found["reads"].startswith("by lease"):
            yield f"| {goal.what} | {goal.bound()} | not measured: {found['reads']} | |"
            goal = Goal("gets/s by ReadIndex, 256 in flight", GET, "ops_per_s", at_least=1.3)
        value = ratio(row, goal.figure)
        low, high = spread(row, goal.figure)
        reached = _word(goal.is_reached(value))
        yield f"| {goal.what} | {goal.bound()} | {value:.2f} ({low:.2f} to {high:.2f}) | {reached} |"
    for entry in found.get("memory", [])[:1]:
        value = entry["flaredb"] / entry["etcd"]
        reached = _word(MEMORY_GOAL.is_reached(value))
        yield f"| memory {entry['when']} | {MEMORY_GOAL.bound()} | {value:.2f} | {reached} |"
    if found.get("recovery"):
        value = statistics.median(found["recovery"]["flaredb"])
        reached = _word(value <= RECOVERY_SECONDS_MAX)
        bound = f"at most {RECOVERY_SECONDS_MAX:g} s"
        yield f"| writes again after SIGKILL of a leader | {bound} | {value:.2f} s | {reached} |"
    yield ""


def _word(is_reached: bool) -> str:
    return "reached" if is_reached else "**not reached**"


_COLUMNS: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("ops/s", "ops_per_s", lambda value: f"{value:,.0f}"),
    ("p50 ms", "p50_ms", lambda value: f"{value:.2f}"),
    ("p99 ms", "p99_ms", lambda value: f"{value:.2f}"),
    ("server CPU s/1,000", "server_cpu_s_per_1000", lambda value: f"{value:.4f}"),
)


def _rows(rows: Sequence[dict[str, Any]]) -> Iterable[str]:
    yield "| work | | " + " | ".join(name for name, _, _ in _COLUMNS) + " | errors |"
    yield "|---|---|" + "---:|" * (len(_COLUMNS) + 1)
    for row in rows:
        for who, side in (("FlareDB", row["ours"]), ("etcd", row["theirs"])):
            cells = [shown(middle(side, figure)) for _, figure, shown in _COLUMNS]
            errors = sum(each["errors"] + each["missing"] for each in side)
            yield f"| {row['name'] if who == 'FlareDB' else ''} | {who} | {' | '.join(cells)} | {errors} |"
        ratios = [f"**{ratio(row, figure):.2f}**" for _, figure, _ in _COLUMNS]
        yield f"| | ratio | {' | '.join(ratios)} | |"
    yield ""


def _memory(entries: Sequence[dict[str, Any]]) -> Iterable[str]:
    if not entries:
        return
    yield "## Memory\n"
    yield "Resident memory of the three servers together, in MiB. FlareDB's PD is a process of its own.\n"
    yield "| when | FlareDB | its PD | etcd | ratio |\n|---|---:|---:|---:|---:|"
    for entry in entries:
        sizes = " | ".join(str(entry[who] // MIB) for who in ("flaredb", "pd", "etcd"))
        yield f"| {entry['when']} | {sizes} | {entry['flaredb'] / entry['etcd']:.2f} |"
    yield ""


def _recovery(kills: dict[str, list[float]] | None) -> Iterable[str]:
    if not kills:
        return
    yield "## SIGKILL of a leader\n"
    yield "Seconds until a write to what it led is acknowledged; FlareDB with the demo's settings, etcd with its own.\n"
    yield "| | kills | median | longest |\n|---|---:|---:|---:|"
    for who, name in (("FlareDB", "flaredb"), ("etcd", "etcd")):
        yield f"| {who} | {len(kills[name])} | {statistics.median(kills[name]):.2f} | {max(kills[name]):.2f} |"
    yield ""


def _commands(found: dict[str, Any]) -> Iterable[str]:
    if not found["commands"]:
        return
    yield "## Commands\n"
    yield "ROUTES holds FlareDB's regions and leaders, written anew for every run by `bench/generator.py`.\n"
    yield "```text"
    for entry in found["commands"]:
        yield f"# {entry['row']}\n{entry['command']}"
    yield "```"


if __name__ == "__main__":
    print(write_report(json.loads((RESULTS / "results.json").read_text(encoding="utf-8")), RESULTS))
