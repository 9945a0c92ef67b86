"""One picture of a cluster, for a terminal of any size; and the same as JSON. Pure."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flaredb.cli.bench.report import millis
from flaredb.cli.output import Column, key_text
from flaredb.cli.output import Table as Rows
from flaredb.cli.status.facts import StoreFacts
from flaredb.cli.status.view import LEVEL_STYLES, json_view, size, store_state
from flaredb.cli.status.words import ago
from flaredb.cli.top.poller import View
from flaredb.cli.top.series import Rates

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

FIXED_LINES = 14
"""Of a frame without its rows."""

MOVES_MAX = 6
REGIONS_MIN = 3

StoreKey = Callable[[StoreFacts, Rates | None], float]
SORTS: dict[str, StoreKey] = {
    "id": lambda store, _: -store.id,
    "reads": lambda _, known: known.reads_per_s if known else -1,
    "writes": lambda _, known: known.writes_per_s if known else -1,
    "leaders": lambda store, _: store.leaders,
    "regions": lambda store, _: store.regions,
    "lagging": lambda store, _: store.pending,
    "cpu": lambda _, known: (known.cpu_share or 0) if known else -1,
}
"""How stores may be ordered, most first."""

_STYLES = {"Up": "green", "draining": "yellow", "Disconnected": "yellow", "Down": "red", "no answer": "bold red"}
NONE = "-"
GAP = 2
"""Spaces behind a column."""


def frame(view: View, sort: str, height: int, width: int, keys: str = "") -> RenderableType:
    """The picture in at most ``height`` lines of ``width``, as far as that is possible.

    ``keys``: what the last line says.
    """
    from rich.console import Group
    from rich.text import Text

    facts = view.facts
    parts: list[RenderableType] = [*_head(view), Text()]
    if facts is not None:
        stores = len(facts.stores)
        moves = min(len(facts.moves), MOVES_MAX)
        parts += [_store_table(view, sort, width), Text()]
        if moves:
            parts += [_move_table(view, moves), Text()]
        room = height - FIXED_LINES - stores - (moves + 2 if moves else 0)
        parts.append(_region_table(view, max(REGIONS_MIN, room)))
    if keys:
        parts.append(Text(keys, style="dim"))
    return Group(*parts)


def _head(view: View) -> list[Text]:
    from rich.text import Text

    verdict = view.verdict
    word, colon, rest = verdict.sentence.partition(":")
    shown = [Text.assemble((word + colon, LEVEL_STYLES[verdict.level]), rest)]
    shown += [Text(text) for text in (verdict.survives_sentence, verdict.moving_sentence) if text]
    known = list(view.rates.values())
    if known:
        slowest = max((item.p99_s for item in known if item.p99_s is not None), default=None)
        text = (
            f"{sum(item.reads_per_s for item in known):,.0f} reads/s, "
            f"{sum(item.writes_per_s for item in known):,.0f} writes/s; "
            f"{_flow(_sum(item.bytes_read_per_s for item in known))} read, "
            f"{_flow(_sum(item.bytes_written_per_s for item in known))} written"
        )
        text += f"; 99 % of calls within {millis(slowest)} ms" if slowest is not None else ""
        failures = sum(item.failures_per_s for item in known)
        shown.append(Text(text + (f"; {failures:,.1f} failures/s" if failures else "")))
    else:
        shown.append(Text("rates are known after a second look", style="dim"))
    return shown


@dataclass(frozen=True, slots=True)
class _Shown:
    """A column and its cells; where a terminal is too narrow, the one with the highest ``may_go`` goes first."""

    heading: str
    cells: list[Text]
    is_number: bool = True
    may_go: int = 0

    @property
    def width(self) -> int:
        return max(len(self.heading), *(len(cell) for cell in self.cells)) if self.cells else len(self.heading)


def _store_table(view: View, sort: str, width: int) -> Table:
    assert view.facts is not None
    stores = sorted(view.facts.stores, key=lambda item: _order(view, item, sort))
    columns = _fitting(_store_columns(view, stores), width)
    table = _table(
        tuple((column.heading, column.is_number) for column in columns),
    )
    for row in range(len(stores)):
        table.add_row(*(column.cells[row] for column in columns))
    return table


def _store_columns(view: View, stores: Sequence[StoreFacts]) -> list[_Shown]:
    from rich.text import Text

    def column(heading: str, cell: Callable[[StoreFacts], str], may_go: int = 0, is_number: bool = True) -> _Shown:
        return _Shown(heading, [Text(cell(store)) for store in stores], is_number, may_go)

    def rate(heading: str, cell: Callable[[Rates], str], may_go: int = 0) -> _Shown:
        known = (view.rates.get(store.id) for store in stores)
        return _Shown(heading, [Text(NONE if item is None else cell(item)) for item in known], may_go=may_go)

    states = [store_state(store, view.verdict) for store in stores]
    return [
        column("store", lambda store: str(store.id)),
        column("address", lambda store: store.address, 1, is_number=False),
        _Shown("state", [Text(state, style=_STYLES.get(state, "")) for state in states], is_number=False),
        column("leaders", lambda store: str(store.leaders)),
        column("regions", lambda store: str(store.regions)),
        column("lagging", lambda store: str(store.pending), 2),
        rate("reads/s", lambda known: f"{known.reads_per_s:,.0f}"),
        rate("writes/s", lambda known: f"{known.writes_per_s:,.0f}"),
        rate("read B/s", lambda known: _short(known.bytes_read_per_s), 4),
        rate("written B/s", lambda known: _short(known.bytes_written_per_s), 4),
        rate("p99 ms", lambda known: NONE if known.p99_s is None else millis(known.p99_s)),
        rate("sync ms", lambda known: NONE if known.sync_s is None else millis(known.sync_s), 6),
        rate("cpu", lambda known: NONE if known.cpu_share is None else f"{100 * known.cpu_share:.0f}%"),
        rate("memory", lambda known: size(known.memory_bytes) if known.memory_bytes else NONE, 7),
        column("heard", lambda store: f"{ago(store.silent_s)} ago" if store.silent_s < 1e8 else "never", 5),
    ]


def _fitting(columns: list[_Shown], width: int) -> list[_Shown]:
    """As many as fit."""
    kept = list(columns)
    while sum(column.width + GAP for column in kept) - GAP > width:
        going = max(kept, key=lambda column: column.may_go)
        if not going.may_go:
            break
        kept.remove(going)
    return kept


def _order(view: View, store: StoreFacts, sort: str) -> tuple[float, int]:
    return -SORTS[sort](store, view.rates.get(store.id)), store.id


def _move_table(view: View, most: int) -> Table:
    assert view.facts is not None
    table = _table((("moving", False), ("does", False), ("step", True), ("now", False)))
    for move in view.facts.moves[:most]:
        table.add_row(f"region {move.region_id}", f"{move.name}: {move.brief}", f"{move.step}/{move.steps}", move.now)
    if len(view.facts.moves) > most:
        table.add_row(f"and {len(view.facts.moves) - most:,} more", "", "", "")
    return table


def _region_table(view: View, most: int) -> Table:
    from rich.text import Text

    regions = sorted(view.regions, key=_traffic, reverse=True)
    texts = ("region", "from key", "leader", "stores")
    table = _table(
        [
            *((text, False) for text in texts),
            *((text, True) for text in ("keys", "MiB", "reads", "writes")),
            ("state", False),
        ]
    )
    shown = regions if len(regions) <= most else regions[: most - 1]
    for item in shown:
        state = _region_state(item, view)
        table.add_row(
            str(item["id"]),
            key_text(item.get("start_key", ""), "-inf"),
            str((item.get("leader") or {}).get("store_id") or "none"),
            " ".join(
                str(peer["store_id"]) for peer in sorted(item.get("peers") or [], key=lambda peer: peer["store_id"])
            ),
            f"{item.get('approximate_keys', 0):,}",
            f"{item.get('approximate_size', 0):,}",
            f"{item.get('read_keys', 0):,}",
            f"{item.get('written_keys', 0):,}",
            Text(state, style="" if state == "ok" else "yellow"),
        )
    if len(shown) < len(regions):
        table.add_row("", f"and {len(regions) - len(shown):,} more", "", "", "", "", "", "", "")
    return table


def _region_state(item: Mapping[str, Any], view: View) -> str:
    moving = {move.region_id for move in view.facts.moves} if view.facts else set()
    leader = (item.get("leader") or {}).get("store_id")
    if not leader or leader in view.verdict.gone:
        return "no leader known"
    if item["id"] in moving:
        return "moving"
    gone = [str(peer["store_id"]) for peer in item.get("peers") or [] if peer["store_id"] in view.verdict.gone]
    if gone:
        return f"lost on {' '.join(gone)}"
    pending = [str(peer["store_id"]) for peer in item.get("pending_peers") or []]
    return f"lags on {' '.join(pending)}" if pending else "ok"


def _traffic(item: Mapping[str, Any]) -> tuple[int, int, int]:
    keys = int(item.get("read_keys", 0)) + int(item.get("written_keys", 0))
    return keys, int(item.get("approximate_size", 0)), -int(item["id"])


def _table(headings: Sequence[tuple[str, bool]]) -> Table:
    """``headings`` with whether numbers stand below."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    for heading, is_number in headings:
        table.add_column(heading, justify="right" if is_number else "left", no_wrap=True, overflow="ellipsis")
    return table


def _sum(values: Any) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _flow(bytes_per_s: float | None) -> str:
    if bytes_per_s is None:
        return NONE
    if bytes_per_s < 1_000_000:
        return f"{bytes_per_s / 1024:.3g} KiB/s" if bytes_per_s >= 1 else "0"
    return f"{size(bytes_per_s)}/s"


def _short(bytes_per_s: float | None) -> str:
    """For a column whose heading has the unit: "14.6K"."""
    if bytes_per_s is None:
        return NONE
    number = bytes_per_s
    for letter in ("", "K", "M"):
        if number < 1000:
            return f"{number:.3g}{letter}"
        number /= 1024
    return f"{number:.3g}G"


def frame_json(view: View) -> dict[str, Any]:
    """What a frame shows, as ``flaredb status -o json`` with rates beside each store; rates are null if not known."""
    found = json_view(view.facts, view.verdict)
    for store in found["stores"]:
        known = view.rates.get(store["id"])
        store["rates"] = None if known is None else _rates_json(known)
    found["at"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(view.at_s))
    found["region_list"] = [
        {
            "id": item["id"],
            "leader_store_id": (item.get("leader") or {}).get("store_id") or None,
            "keys": item.get("approximate_keys", 0),
            "size_mib": item.get("approximate_size", 0),
            "keys_read": item.get("read_keys", 0),
            "keys_written": item.get("written_keys", 0),
            "state": _region_state(item, view),
        }
        for item in view.regions
    ]
    return found


def store_rows(view: View) -> Rows:
    """The stores as rows for programs; numbers without units or commas, empty where not known."""
    stores = frame_json(view)["stores"]
    facts = ("id", "address", "state", "serves", "leaders", "regions", "lagging", "size_mib")
    names = tuple(_rates_json(_NO_RATES))
    table = Rows([Column(name) for name in (*facts, *names)])
    for store in stores:
        known = store["rates"] or {}
        values = [*(store[name] for name in facts), *(known.get(name) for name in names)]
        table.rows.append(["" if value is None else str(value) for value in values])
    return table


_NO_RATES = Rates(0, 0, 0, None, None, None, None, None, 0)


def _rates_json(known: Rates) -> dict[str, Any]:
    return {
        "reads_per_s": round(known.reads_per_s, 1),
        "writes_per_s": round(known.writes_per_s, 1),
        "failures_per_s": round(known.failures_per_s, 1),
        "bytes_read_per_s": _rounded(known.bytes_read_per_s),
        "bytes_written_per_s": _rounded(known.bytes_written_per_s),
        "p99_ms": _rounded(known.p99_s, 1_000),
        "sync_ms": _rounded(known.sync_s, 1_000),
        "cpu_share": _rounded(known.cpu_share),
        "memory_bytes": round(known.memory_bytes),
    }


def _rounded(value: float | None, times: float = 1) -> float | None:
    return None if value is None else round(value * times, 3)
