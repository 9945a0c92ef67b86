"""FlareDB against etcd, figure by figure: medians over the rounds, and ratios of the same round."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any


def middle(rounds: Sequence[dict[str, float]], figure: str) -> float:
    """Median over the rounds of one side."""
    return statistics.median(each[figure] for each in rounds)


def ratio(row: dict[str, Any], figure: str) -> float:
    """Median of FlareDB's figure divided by etcd's of the same round."""
    pairs = zip(row["ours"], row["theirs"], strict=True)
    return statistics.median(ours[figure] / theirs[figure] for ours, theirs in pairs if theirs[figure])


def spread(row: dict[str, Any], figure: str) -> tuple[float, float]:
    """Lowest and highest ratio of a round."""
    ratios = [a[figure] / b[figure] for a, b in zip(row["ours"], row["theirs"], strict=True) if b[figure]]
    return min(ratios), max(ratios)
