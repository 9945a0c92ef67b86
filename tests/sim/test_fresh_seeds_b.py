"""Fresh seeds run without a violation: this file holds one half of them, so that two workers share them (fresh.py)."""

from __future__ import annotations

import pytest

from .fresh import LOTS_OF_B, check_lot


@pytest.mark.parametrize("lot", LOTS_OF_B)
def test_fresh_seeds_hold_every_promise(lot: int) -> None:
    check_lot(lot)
