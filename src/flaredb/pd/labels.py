"""How far apart stores are, by the labels that say where they stand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from flaredb.model.cluster import StoreMeta

_BASE = 100
"""One label further out outweighs any number of stores further in: a region has fewer replicas than that."""


def label(store: StoreMeta, name: str) -> str:
    """The value of a label, "" without one; case does not count."""
    return next((value.lower() for key, value in store.labels if key.lower() == name.lower()), "")


def first_difference(labels: Sequence[str], left: StoreMeta, right: StoreMeta) -> int | None:
    """Index of the widest label in which two stores differ; None if in none. A missing label differs from none."""
    for index, name in enumerate(labels):
        left_value, right_value = label(left, name), label(right, name)
        if left_value and right_value and left_value != right_value:
            return index
    return None


def distinct_score(labels: Sequence[str], others: Iterable[StoreMeta], store: StoreMeta) -> int:
    """How far ``store`` is from the others; the more, the better apart."""
    score = 0
    for other in others:
        if other.id != store.id:
            index = first_difference(labels, store, other)
            if index is not None:
                score += _BASE ** (len(labels) - index - 1)
    return score
