"""Identifiers. NewTypes, so that two integers of different meaning cannot be swapped unnoticed."""

from typing import NewType

ClusterId = NewType("ClusterId", int)
StoreId = NewType("StoreId", int)
RegionId = NewType("RegionId", int)
PeerId = NewType("PeerId", int)
"""A replica's id, unique in the cluster and never reused; it is the Raft node id (wire facts 2.1)."""

INVALID_ID = 0
"""No object has id 0: the protocol uses it for 'none'."""
