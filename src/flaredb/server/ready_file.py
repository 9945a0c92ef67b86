"""The file by which a server process tells whoever started it that it serves, and where."""

from __future__ import annotations

import json
import os
from pathlib import Path


def write_ready_file(
    path: str, *, address: str, status_address: str = "", peer_address: str = "", store_id: int = 0
) -> None:
    """Write the process id and the addresses really bound; an empty ``path`` means that nobody asked.

    Post: a reader sees no file or the whole file, never a part of it.
    """
    if not path:
        return
    facts = {
        "pid": os.getpid(),
        "address": address,
        "status_address": status_address,
        "peer_address": peer_address,
        "store_id": store_id,
    }
    unfinished = Path(f"{path}.{os.getpid()}.tmp")
    unfinished.write_text(json.dumps(facts) + "\n", encoding="utf-8")
    unfinished.replace(path)
