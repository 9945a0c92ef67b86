"""Which seeds are fresh today."""

from __future__ import annotations

import os
import time

import pytest

SEEDS = 100


def first_fresh_seed() -> int:
    """FLAREDB_SIM_SEED, or a number of its own for each day (UTC): the tests play other seeds every day."""
    return int(os.environ.get("FLAREDB_SIM_SEED", 0)) or int(time.time() // 86_400) * SEEDS


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say it, so that a run can be played again another day."""
    first = first_fresh_seed()
    terminalreporter.write_line(
        f"simulator: fresh seeds {first} to {first + SEEDS - 1}; FLAREDB_SIM_SEED={first} plays them again"
    )
