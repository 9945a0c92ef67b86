"""R6. A leader handed over and went on to read by its lease (openraft 1749, etcd 12704): the heir wins its election in
spite of what members promised, so no lease of that leadership proves anything any more, even if the transfer was
given up.
"""

from __future__ import annotations

from flaredb.raft import Message, MessageType
from tests.raft import test_historic
from tests.raft.group import Group, persist
from tests.raft.test_historic import LEASES
from tests.scenarios.promises import breaks, promise
from tests.store import test_lease
from tests.store.lease_mutants import MUTANTS

M = MessageType


def leader_with_lease() -> Group:
    group = Group.of(3, **LEASES)
    group.elect(1)
    group[1].propose(b"", b"old")
    group.settle()
    renew(group)
    return group


def renew(group: Group) -> None:
    group[1].tick()
    group.settle()


def heir_takes_over(group: Group, timeout_now: Message) -> None:
    """The old leader hears nothing any more; its heir leads, and has committed something."""
    group.isolate(1)
    group[2].step(timeout_now)
    group.settle()
    group[2].propose(b"", b"new")
    group.settle()
    assert group.data(2) == group.data(3) == [b"old", b"new"]


def old_leader_reads(group: Group) -> None:
    group[1].read_index(b"read")
    rd = group[1].ready()
    answered = [state.index for state in rd.read_states]
    committed = group[2].raft.raft_log.committed
    promise(not answered, f"the old leader reads at index {answered}, its heir has committed {committed}")


def isolated_after_timeout_now() -> None:
    group = leader_with_lease()
    group[1].transfer_leader(2)
    messages, _ = persist(group[1])
    [timeout_now] = [m for m in messages if m.msg_type == M.MsgTimeoutNow]
    heir_takes_over(group, timeout_now)
    old_leader_reads(group)


def isolated_after_the_transfer_was_given_up() -> None:
    """TimeoutNow is late: the transfer was given up long ago, and the leader has been heard by everybody since."""
    group = leader_with_lease()
    group[1].transfer_leader(2)
    messages, _ = persist(group[1])
    [late] = [m for m in messages if m.msg_type == M.MsgTimeoutNow]
    while group[1].raft.lead_transferee is not None:
        renew(group)
    renew(group)
    heir_takes_over(group, late)
    old_leader_reads(group)


def test_r06_a_leader_that_hands_over_reads_by_no_lease() -> None:
    isolated_after_timeout_now()
    test_historic.test_a_lease_read_after_transfer_is_refused()


def test_r06_nor_does_one_that_gave_the_transfer_up() -> None:
    isolated_after_the_transfer_was_given_up()
    test_historic.test_a_lease_stays_void_after_an_aborted_transfer()


def test_r06_without_ending_the_lease_the_old_leader_reads_old_data() -> None:
    told = r"the old leader reads at index \[2\], its heir has committed [45]"
    breaks(isolated_after_timeout_now, MUTANTS["lease_kept_after_a_transfer"], told)
    given_up = MUTANTS["lease_back_after_a_transfer_was_given_up"]
    breaks(isolated_after_the_transfer_was_given_up, given_up, told)


# ------------------------------------------------ the same in stores, where a client asks


def test_r06_a_store_that_hands_over_answers_no_read_by_its_lease() -> None:
    test_lease.test_a_lease_is_void_from_the_start_of_a_transfer()
    test_lease.test_a_lease_stays_void_after_a_transfer_was_given_up()


def test_r06_without_ending_the_lease_a_client_reads_what_was_overwritten() -> None:
    told = r"\[b'1'\] == \[\]"
    begun, given_up = MUTANTS["lease_kept_after_a_transfer"], MUTANTS["lease_back_after_a_transfer_was_given_up"]
    breaks(test_lease.test_a_lease_is_void_from_the_start_of_a_transfer, begun, told)
    breaks(test_lease.test_a_lease_stays_void_after_a_transfer_was_given_up, given_up, told)
