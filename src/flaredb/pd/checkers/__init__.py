"""What must be mended in a region: checkers look at one region and return an operator, or why there is none.

They are asked in the order of ``CHECKERS``; the first that finds something wrong has the word, also if it cannot mend
it now.
"""

from __future__ import annotations

from flaredb.pd.checkers import joint_state, learner, replica
from flaredb.pd.checkers.finding import Checker, Finding
from flaredb.pd.region_tree import RegionRecord
from flaredb.pd.view import View

CHECKERS: tuple[Checker, ...] = (joint_state.check, learner.check, replica.check)


def check_region(view: View, record: RegionRecord) -> Finding | None:
    """What is wrong with a region; None if nothing is. Pre: no operator runs for it."""
    if record.leader is None or not record.is_reported:
        return Finding(None, "its leader has not reported since PD started")
    for check in CHECKERS:
        finding = check(view, record)
        if finding is not None:
            return finding
    return None
