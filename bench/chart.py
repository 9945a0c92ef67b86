"""The chart of a comparison: how many times etcd's operations per second each workload does, as SVG and PNG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
from bench.ratios import ratio, spread

matplotlib.use("Agg")
from matplotlib import pyplot

BETTER, WORSE, EDGE = "#d9622b", "#9a9a9a", "#444444"
ROW_INCHES = 0.5


def draw(found: dict[str, Any], directory: Path) -> None:
    """Write chart.svg and chart.png. A bar to the left of 1 is a workload where etcd is faster."""
    rows = list(reversed(found["rows"]))
    if not rows:
        return
    ratios = [ratio(row, "ops_per_s") for row in rows]
    # The same input gives the same file.
    matplotlib.rcParams["svg.hashsalt"] = "flaredb"
    matplotlib.rcParams["svg.fonttype"] = "none"
    figure, axes = pyplot.subplots(figsize=(9, 1.6 + ROW_INCHES * len(rows)))
    axes.barh(range(len(rows)), ratios, color=[BETTER if value >= 1 else WORSE for value in ratios], height=0.62)
    for at, (row, value) in enumerate(zip(rows, ratios, strict=True)):
        low, high = spread(row, "ops_per_s")
        axes.plot([low, high], [at, at], color=EDGE, linewidth=1)
        axes.text(max(high, value) + 0.05, at, f"{value:.2f}", va="center", fontsize=10)
    axes.axvline(1, color=EDGE, linewidth=1, linestyle="--")
    axes.set_yticks(range(len(rows)), [row["name"] for row in rows])
    axes.set_xlim(0, max(max(spread(row, "ops_per_s")[1] for row in rows), 1) * 1.12)
    axes.set_xlabel("FlareDB's operations per second divided by etcd's; line: lowest to highest round", fontsize=9)
    machine = found["machine"]
    figure.suptitle(
        f"FlareDB against {found['etcd'].replace(' Version:', '')}, three durable servers each, "
        f"{machine['cores']} cores, commit {machine['commit']}",
        fontsize=10,
        x=0.01,
        horizontalalignment="left",
    )
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(directory / "chart.svg", metadata={"Date": None})
    figure.savefig(directory / "chart.png", dpi=120)
    pyplot.close(figure)
