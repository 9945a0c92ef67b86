"""Ports for processes that must know each other's addresses before any of them runs."""

from __future__ import annotations

import os
import random
import socket
import sys
from collections import OrderedDict
from collections.abc import Iterator

HOST = "127.0.0.1"
# Below the range from which systems take the source ports of outgoing connections: a dialler that retries a dead
# server inside that range can be given the very port it dials, and so connect to itself.
_FIRST, _LAST = 21_000, 32_000

# Between the choice of a port and the start of its server lie moments in which another command may choose the same one.
# So a choice is told to the machine: by a name bound in Linux's abstract namespace, which the kernel forgets with the
# process and keeps apart by network, as it does ports. The last of them are kept; elsewhere nobody is told.
CLAIMS_MAX = 256
_claims: OrderedDict[int, int] = OrderedDict()


def is_free(port: int) -> bool:
    """True if this machine's loopback address has no listener on the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def claim(port: int) -> bool:
    """Keep other FlareDB commands of this machine from choosing the port; False if one of them, or this one, has it."""
    if port in _claims:
        return False
    if sys.platform != "linux":
        return True
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as name:
        try:
            name.bind(f"\0flaredb-port-{port}")
        except OSError:
            return False
        _claims[port] = name.detach()
    if len(_claims) > CLAIMS_MAX:
        os.close(_claims.popitem(last=False)[1])
    return True


class PortPicker:
    """Hands out ports that are free, that no other command has just chosen, and that it has not handed out before."""

    def __init__(self) -> None:
        self._taken: set[int] = set()
        self._candidates = self._shuffled()

    def pick(self, preferred: int = 0) -> int:
        """The preferred port if it is free, whoever else has chosen it, else another; 0: no preference.

        Errors: OSError if not one port is free.
        """
        if preferred and preferred not in self._taken and is_free(preferred):
            claim(preferred)
            self._taken.add(preferred)
            return preferred
        for port in self._candidates:
            if port not in self._taken and is_free(port) and claim(port):
                self._taken.add(port)
                return port
        raise OSError(f"no free port between {_FIRST} and {_LAST}")

    @staticmethod
    def _shuffled() -> Iterator[int]:
        ports = list(range(_FIRST, _LAST))
        random.SystemRandom().shuffle(ports)
        return iter(ports)
