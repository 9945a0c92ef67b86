"""What PD answers about splits and moves that were asked of it."""

from __future__ import annotations

from dataclasses import dataclass

from flaredb.model.ids import RegionId


@dataclass(frozen=True, slots=True)
class RegionsSplit:
    """What became of split_regions: how much of it, and the new regions."""

    finished_percentage: int
    region_ids: tuple[RegionId, ...]
    scatter_finished_percentage: int = 0


@dataclass(frozen=True, slots=True)
class RegionsScattered:
    """What became of scatter_regions: how many are, or are on the way to be, where they should be."""

    finished_percentage: int
    failed_region_ids: tuple[RegionId, ...]


@dataclass(frozen=True, slots=True)
class RegionOperator:
    """PD's operator of a region: ``status`` is success, timeout, cancel, replace or running."""

    region_id: RegionId
    desc: str
    status: str
    kind: str
