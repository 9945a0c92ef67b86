"""A short command's process: it loads much, works for a moment and ends.

Looking through what was loaded for garbage, while loading and once more at the end, costs a fifth of such a process.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

_is_own_process = False


def begin_process() -> None:
    """This process is a command's own, and will end with it: no tests, no program around it."""
    global _is_own_process
    _is_own_process = True


def end_process() -> None:
    """The command is over."""
    if _is_own_process:
        gc.freeze()


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Around the import of what stays to the end."""
    if not _is_own_process:
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
