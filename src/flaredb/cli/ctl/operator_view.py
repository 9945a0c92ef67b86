"""Operators as people read them, out of the one line in which PD writes each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from flaredb.cli.output import Column, Facts, Table

_LINE = re.compile(
    r"(?P<name>[\w-]+) \{(?P<brief>.*?)\} \(kind:(?P<kind>.*?), region:(?P<region>\d+)\(.*?\), "
    r"createAt:(?P<created>.*?), startAt:.*?, currentStep:(?P<step>\d+), size:\d+, steps:\[(?P<steps>.*?)\], ?timeout:",
    re.DOTALL,
)
_STEP = re.compile(r"\d+:\{(.*?)\}(?=, \d+:\{|$)")
_STATUS = re.compile(r"status: (?P<status>\w+), operator: (?P<line>.*?)(?:, reason: (?P<reason>.*))?", re.DOTALL)
_TIME = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\S* ([+-]\d{4})")
_ENDED = re.compile(r"\(finishAt:(?P<at>[^,]*), duration:(?P<took>[^,)]*)(?:, (?P<outcome>.*))?\)$")


@dataclass(frozen=True, slots=True)
class OperatorLine:
    """What the line says. ``step`` counts the steps that are done."""

    region_id: str
    name: str
    brief: str
    kind: str
    step: int
    steps: tuple[str, ...]
    created: str

    @property
    def progress(self) -> str:
        """Steps done, of all."""
        return f"{min(self.step, len(self.steps))}/{len(self.steps)}"

    @property
    def now(self) -> str:
        """The step under way."""
        return self.steps[self.step] if self.step < len(self.steps) else ""


def parse_operator(text: str) -> OperatorLine | None:
    """The parts of an operator's line; None if it is none."""
    found = _LINE.search(text)
    if found is None:
        return None
    steps = tuple(_STEP.findall(found["steps"]))
    name, brief, kind = found["name"], found["brief"], found["kind"]
    return OperatorLine(found["region"], name, brief, kind, int(found["step"]), steps, found["created"])


def status_of(text: str) -> tuple[str, str, str]:
    """(status, the operator's line, reason) of an answer to ``operator check``; ("", text, "") if it is none."""
    found = _STATUS.fullmatch(text)
    return (found["status"], found["line"], found["reason"] or "") if found else ("", text, "")


def operator_table(lines: list[str]) -> Table:
    """Operators that run; a line that cannot be read is shown whole."""
    table = Table(
        [
            Column("region", True),
            Column("operator"),
            Column("does", may_shrink=True),
            Column("step", True),
            Column("now", may_shrink=True),
            Column("age", True),
        ],
        note="" if lines else "no operator runs",
    )
    for text in lines:
        view = parse_operator(text)
        if view is None:
            table.rows.append(["", text, "", "", "", ""])
        else:
            row = [view.region_id, view.name, view.brief, view.progress, view.now, _age(view.created)]
            table.rows.append(row)
    return table


def operator_facts(text: str) -> Facts | str:
    """How an operator stands."""
    status, line, reason = status_of(text)
    view = parse_operator(line)
    if view is None:
        return text
    pairs = [
        ("region", view.region_id),
        ("operator", view.name),
        ("status", status.lower()),
        *([("reason", reason)] if reason else []),
        ("kind", view.kind),
        ("does", view.brief),
        ("created", view.created),
        ("steps done", view.progress),
    ]
    running = status == "RUNNING"
    for number, step in enumerate(view.steps):
        mark = "done" if number < view.step else "now" if number == view.step and running else "to do"
        pairs.append((f"step {number + 1}", f"{step} ({mark})"))
    return Facts(pairs)


def ended_operator(text: str) -> list[str]:
    """Region, operator, what it did, and how it ended, out of a line of history."""
    view = parse_operator(text)
    if view is None:
        return ["", text, "", ""]
    found = _ENDED.search(text)
    ended = f"{(found['outcome'] or 'ended').lower()} after {found['took']}" if found else ""
    return [view.region_id, view.name, view.brief, ended]


def ended_at_s(text: str) -> float | None:
    """When an operator of the history ended well, in unix seconds of PD; None if it did not, or does not say."""
    found = _ENDED.search(text)
    if found is None or (found["outcome"] or "SUCCESS") != "SUCCESS":
        return None
    at = _moment(found["at"])
    return at.timestamp() if at else None


def _age(created: str) -> str:
    at = _moment(created)
    return duration_text(max(0.0, (datetime.now(UTC) - at).total_seconds())) if at else ""


def _moment(text: str) -> datetime | None:
    found = _TIME.match(text)
    return datetime.strptime(f"{found[1]} {found[2]}", "%Y-%m-%d %H:%M:%S %z") if found else None


def duration_text(seconds: float) -> str:
    """ "9s", "2m05s", "3h07m"."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes}m{rest:02}s" if minutes < 60 else f"{minutes // 60}h{minutes % 60:02}m"
