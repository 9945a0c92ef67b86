"""Writes the synchronous twins of the asyncio client's files: python scripts/gen_sync_calls.py [--check]."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

FACES = Path(__file__).resolve().parents[1] / "src" / "flaredb" / "faces"
TWINS = {"aio_calls.py": "sync_calls.py", "aio_scan.py": "sync_scan.py"}
REPLACED = (
    (r"\basync def ", "def "),
    (r"\bawait ", ""),
    (r"\bAsync(Iterator|Calls|Scan|Pending)\b", r"Sync\1"),
    (r"\bSyncIterator\b", "Iterator"),
    (r"\bStopAsyncIteration\b", "StopIteration"),
    (r"__a(iter|next)__", r"__\1__"),
    (r"\baio_(scan|calls)\b", r"sync_\1"),
)


def twin_of(name: str) -> str:
    """The text of the synchronous twin of a file in faces/."""
    text = (FACES / name).read_text(encoding="utf-8")
    for pattern, replacement in REPLACED:
        text = re.sub(pattern, replacement, text)
    _, _, rest = text.partition('"""\n')
    text = f'"""Generated from {name} by scripts/gen_sync_calls.py: change that file and run the script."""\n{rest}'
    for command in (["check", "--fix-only", "--quiet"], ["format", "--quiet"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(FACES / TWINS[name]), "-"]
        text = subprocess.run(ruff, input=text, capture_output=True, text=True, check=True).stdout
    return text


def main() -> int:
    """Write the twins, or with --check say whether they are up to date."""
    stale = (
        [name for name in TWINS if (FACES / TWINS[name]).read_text(encoding="utf-8") != twin_of(name)]
        if ("--check" in sys.argv)
        else []
    )
    if stale:
        print(f"run scripts/gen_sync_calls.py: out of date are the twins of {', '.join(stale)}")
        return 1
    if "--check" not in sys.argv:
        for name, twin in TWINS.items():
            (FACES / twin).write_text(twin_of(name), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
