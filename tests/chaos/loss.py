"""Lost packets, by rules of the system's own filter for single ports of this machine. Needs root and iptables."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterable, Iterator

NEEDS = ("linux", "root", "iptables")


@contextlib.contextmanager
def lost(ports: Iterable[int], share: float) -> Iterator[None]:
    """This share of all packets to and from these TCP ports is lost in this block; TCP sends them again."""
    chance = ("-m", "statistic", "--mode", "random", "--probability", str(share), "-j", "DROP")
    rules = [
        ["INPUT", "-i", "lo", "-p", "tcp", way, str(port), *chance] for port in ports for way in ("--dport", "--sport")
    ]
    with contextlib.ExitStack() as undo:
        for rule in rules:
            _run("-A", *rule)
            undo.callback(_run, "-D", *rule)
        yield


def _run(*arguments: str) -> None:
    done = subprocess.run(["iptables", "-w", "10", *arguments], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, f"iptables {' '.join(arguments)}: {done.stderr.strip()}"
