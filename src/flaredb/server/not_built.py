"""What callers are told of calls that this server does not serve: what is missing, and what works instead."""

from __future__ import annotations

_RAW = "raw calls (RawGet, RawPut, RawDelete, RawScan, RawCompareAndSwap ...) work: use the raw client"
_TRANSACTIONAL = f"{{name}} is not built: transactional calls are not served yet; {_RAW}"
_PUSH_DOWN = f"{{name}} is not built: no computation is pushed down to stores; read the data by {_RAW}"
_BETWEEN_STORES = (
    "{name} is not served here: stores talk to each other on their peer address in a protocol of their own, "
    "so they cannot share a cluster with stores of another make"
)

_TEXTS = {
    "UnsafeDestroyRange": "UnsafeDestroyRange is not built; RawDeleteRange deletes a range of a region",
    "ReadIndex": "ReadIndex is not built; RawGet with replica_read set reads consistently from any replica",
    "Compact": "Compact is not built; the store compacts by itself",
}
_TEXTS |= dict.fromkeys(("Raft", "BatchRaft", "Snapshot", "TabletSnapshot"), _BETWEEN_STORES)
_TEXTS |= dict.fromkeys(
    ("Coprocessor", "CoprocessorStream", "BatchCoprocessor", "DelegateCoprocessor", "RawCoprocessor"), _PUSH_DOWN
)


def not_built_text(name: str) -> str:
    """The text for a call by its bare name; calls that are not listed are transactional."""
    return _TEXTS.get(name, _TRANSACTIONAL).format(name=name)
