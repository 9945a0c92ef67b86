"""What a checker returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flaredb.pd.operator import Operator
from flaredb.pd.region_tree import RegionRecord
from flaredb.pd.view import View


@dataclass(frozen=True, slots=True)
class Finding:
    """Something is wrong. ``reason`` is a clause in words: what, and why it is not mended if ``operator`` is None."""

    operator: Operator | None
    reason: str


Checker = Callable[[View, RegionRecord], Finding | None]
