"""Every seed that ever found something. None is taken out: the code, and what a seed draws, have changed since, so it
plays something else now, but what it plays costs little, and what it found was missed by all the others.

What a seed found once is replayed for good by the test that is named with it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KeptSeed:
    """A run of the simulator: ``flaredb sim --seed SEED --seconds SECONDS``."""

    seed: int
    seconds: int
    found: str
    """What was wrong, when it was first run."""

    commit: str
    """That mended it; its parent is where the seed failed."""

    replayed_by: str
    """The test that shows the same without the simulator."""


KEPT_SEEDS = (
    KeptSeed(
        34,
        60,
        "an answer to a message of an old term ended a probe: the leader streamed what was compacted, for ever",
        "8da4351",
        "tests/raft/test_historic.py::test_an_answer_to_a_stale_message_does_not_end_a_probe",
    ),
    KeptSeed(
        5,
        60,
        "PD's list named a region that had moved to a joining store meanwhile: the store stopped, for ever",
        "a4d03bc",
        "tests/store/test_move.py::test_a_store_takes_a_region_that_was_moved_to_it_before_it_had_its_first_list",
    ),
    KeptSeed(
        30,
        60,
        "orders that came right after a quorum check found nobody alive: promotions were refused, for ever",
        "7c6f5df",
        "tests/store/test_move.py::test_a_quorum_check_in_the_same_step_makes_nobody_look_dead",
    ),
    KeptSeed(
        3127,
        40,
        "log entries that did not fit the cache were forgotten before the engine had them: the store stopped",
        "8a5f124",
        "tests/store/test_raft_storage.py::test_what_does_not_fit_the_cache_is_there_before_it_is_written_and_after",
    ),
    KeptSeed(
        20001,
        60,
        "of two voters one was removed, the other lost power before its disk knew: a region without a leader, for ever",
        "9fedcb7",
        "tests/store/test_move.py::test_a_voter_that_lost_the_commit_of_a_removal_hears_of_it_from_the_tombstone",
    ),
    KeptSeed(
        6006512,
        20,
        "PD heard of a removal that its leader lost in a crash: of two members one was deleted, nobody could lead",
        "fa99359",
        "tests/store/test_move_removed.py::test_pd_hears_of_a_change_once_it_is_durable",
    ),
    KeptSeed(
        8004157,
        20,
        "a follower asleep lost the message of its leader's waking, and was removed: it slept on a store for ever",
        "25240a2",
        "tests/store/test_hibernation.py::test_a_replica_that_was_removed_in_its_sleep_hears_of_it_from_pd",
    ),
)
