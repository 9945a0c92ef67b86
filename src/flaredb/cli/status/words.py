"""Numbers, lists and times as a sentence has them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

NAMED_MAX = 3


def count(number: int, noun: str) -> str:
    """ "1 region", "2 regions", "no region"; thousands get a comma."""
    if not number:
        return f"no {noun}"
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def listed(words: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def named(noun: str, ids: Iterable[int]) -> str:
    """ "store 3", "stores 2 and 3", "8 stores (1, 2, 3 ...)"."""
    found = sorted(ids)
    if len(found) == 1:
        return f"{noun} {found[0]}"
    if len(found) > NAMED_MAX + 1:
        return f"{len(found):,} {noun}s ({', '.join(map(str, found[:NAMED_MAX]))} ...)"
    return f"{noun}s {listed([str(item) for item in found])}"


def about(seconds: float) -> str:
    """A time that is only an estimate: "5 s", "40 s", "3 min", "2.5 h"."""
    if seconds < 10:
        return f"{max(1, round(seconds))} s"
    if seconds < 90:
        return f"{round(seconds / 5) * 5} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


def ago(seconds: float) -> str:
    """A time that is known: "7 s", "4 min", "3 h", "2 days"."""
    if seconds < 90:
        return f"{int(seconds)} s"
    if seconds < 90 * 60:
        return f"{int(seconds / 60)} min"
    if seconds < 48 * 3600:
        return f"{int(seconds / 3600)} h"
    return f"{int(seconds / 86_400)} days"
