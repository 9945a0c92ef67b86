"""Fresh seeds run without a violation: this file holds one half of them, so that two workers share them (fresh.py)."""

from __future__ import annotations

import pytest

from .fresh import LOTS_OF_B, TIMEOUT_S, check_lot


@pytest.mark.timeout(TIMEOUT_S)
@pytest.mark.parametrize("lot", LOTS_OF_B)
def test_fresh_seeds_hold_every_promise(lot: int) -> None:
    check_lot(lot)
