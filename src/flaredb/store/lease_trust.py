"""Suspends reads by lease for as long as the clocks of this store and another differ by more than leases allow.

Which of the two is wrong cannot be told, nor need it: the one whose clock is slower beside the other's stops reading by
lease, in all its regions. Its reads go by rounds, which assume nothing of clocks.
"""

from __future__ import annotations

from flaredb.store.state import StoreState


def heed_clocks(store: StoreState) -> None:
    """Suspend leases, or bring them back, as the beats of other stores say. Called when that may have changed."""
    if not store.config.lease_length_ms:
        return
    fast = store.contacts.fast_stores()
    if store.lease_clock.is_trusted is not bool(fast):
        return
    store.lease_clock.is_trusted = not fast
    if fast:
        store.lease_suspensions += 1
        text = "clocks differ by more than leases allow: reads by lease are suspended"
        store.note(text, level="ERROR", faster_than_here=fast)
        return
    for peer in store.awake.values():
        peer.node.raft.void_lease()
    store.note("clocks agree again: reads by lease are back")
