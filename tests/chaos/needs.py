"""What a fault needs of the machine, and why a test that lacks it is skipped."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Sequence

import pytest

from tests.chaos import clocks

MISSING_CLIENT = "the official Python client exists for CPython 3.11 on Linux only"


def lacks(needs: Sequence[str]) -> str:
    """Why faults with these needs cannot be played here; empty if they can. Needs: linux, root, or a program's name."""
    for need in needs:
        if need == "linux" and not sys.platform.startswith("linux"):
            return "it reads /proc, which only Linux has"
        if need == "root" and os.geteuid() != 0:
            return "mounting a disk needs root"
        if need == "libfaketime":
            if not clocks.library():
                return "it needs libfaketime (on Debian: apt-get install libfaketime)"
        elif need not in ("linux", "root") and shutil.which(need) is None:
            return f"it needs the program {need} (on Debian: apt-get install strace mount e2fsprogs iptables)"
    return ""


def skip_without(*needs: str) -> None:
    """Skip the running test if something is missing."""
    if importlib.util.find_spec("tikv_client") is None:
        pytest.skip(MISSING_CLIENT)
    if reason := lacks(needs):
        pytest.skip(reason)
