"""Faults of the network between stores, PD and clients."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from tests.chaos import loss
from tests.chaos.arena import Arena
from tests.chaos.links import CLIENTS, PD, Link

LOST_SHARE = 0.3
DELAYS_S = (0.02, 0.1, 0.3)
"""Of each piece on a slow link: a distant place, a bad line, one on which heartbeats come too late."""


def partition(arena: Arena) -> None:
    """One store hears no other, is heard by none, or both. Clients and PD reach all of them."""
    with partitioned(arena):
        arena.rest()


def partition_from_pd(arena: Arena) -> None:
    """A store does not hear PD, is not heard by it, or both: it serves all the same."""
    number = arena.pick()
    with _cut_off(arena, [(PD, number)], [(number, PD)]):
        arena.rest()
    arena.counts["partition from PD"] += 1


def partition_from_clients(arena: Arena) -> None:
    """Requests of clients do not reach a store, its answers do not reach them, or both. All comes late."""
    number = arena.pick()
    with _cut_off(arena, [(CLIENTS, number)], [(number, CLIENTS)]):
        arena.rest()
    arena.counts["partition from clients"] += 1


def slow_link(arena: Arena) -> None:
    """What a store says and hears takes longer, among stores and with clients."""
    assert arena.links is not None
    number = arena.pick()
    towards, away = arena.links.around(number)
    links = [*towards, *away, (CLIENTS, number), (number, CLIENTS)]
    with arena.links.slowed(links, arena.chance.choice(DELAYS_S)):
        arena.rest()
    arena.counts["slow link"] += 1


def lose_packets(arena: Arena) -> None:
    """Three packets in ten are lost between a store and the others, and half the time between it and clients, too."""
    ports = arena.cluster.store(arena.pick()).ports
    chosen = arena.chance.choice([[ports.peer], [ports.peer, ports.grpc]])
    with loss.lost(chosen, LOST_SHARE):
        arena.rest()
    arena.counts["lost packets"] += 1


@contextlib.contextmanager
def partitioned(arena: Arena) -> Iterator[None]:
    """A store hears no other, is heard by none, or both, for the length of the block."""
    assert arena.links is not None
    with _cut_off(arena, *arena.links.around(arena.pick())):
        yield
    arena.counts["partition"] += 1


@contextlib.contextmanager
def _cut_off(arena: Arena, towards: Sequence[Link], away: Sequence[Link]) -> Iterator[None]:
    assert arena.links is not None
    both = [*towards, *away]
    chosen = arena.chance.choice([both, both, towards, away])
    arena.notes["cut both ways" if len(chosen) > len(away) else "cut one way"] += 1
    with arena.links.cut(chosen):
        yield
