"""The status addresses of stores, asked side by side: a store that is down costs no more than its time-out."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

TIMEOUT_S = 2.5
"""A store loads what it answers with at the first question."""

AT_ONCE_MAX = 16


@dataclass(frozen=True, slots=True)
class Page:
    """What a store said, or that it did not."""

    text: str = ""
    answered: bool = False
    refused: bool = False
    """The machine is there, and nothing listens on that port."""

    why: str = ""
    """Why there is no answer."""

    at_s: float = 0.0
    """When it was answered, by the monotonic clock."""


def ask_stores(addresses: Mapping[int, str], path: str, timeout_s: float = TIMEOUT_S) -> dict[int, Page]:
    """A page of many stores by id; ``addresses`` are their status addresses, host:port."""
    if not addresses:
        return {}
    with ThreadPoolExecutor(min(AT_ONCE_MAX, len(addresses)), "flaredb-ask") as threads:
        pages = threads.map(lambda address: ask_store(address, path, timeout_s), addresses.values())
        return dict(zip(addresses, pages, strict=True))


def ask_store(address: str, path: str, timeout_s: float = TIMEOUT_S) -> Page:
    """A page of one status address."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        return Page(why=f'"{address}" is no address')
    connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=timeout_s)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        response = connection.getresponse()
        text = response.read().decode("utf-8", "replace")
    except ConnectionRefusedError:
        return Page(refused=True, why="nobody listens there")
    except TimeoutError:
        return Page(why=f"no answer within {timeout_s:g} s")
    except (OSError, http.client.HTTPException) as error:
        return Page(why=str(error) or type(error).__name__)
    finally:
        connection.close()
    if response.status != 200:
        return Page(why=f"answers {response.status} to {path}")
    return Page(text, answered=True, at_s=time.monotonic())


def is_loopback(host: str) -> bool:
    """True for names and numbers of this machine alone."""
    bare = host.strip("[]").lower()
    return bare in ("localhost", "::1") or bare.startswith("127.")


def is_own_host(host: str) -> bool:
    """True for an address of this machine, whichever; one that cannot be looked up is none."""
    if is_loopback(host):
        return True
    try:
        found = {item[4][0] for item in socket.getaddrinfo(host.strip("[]"), 0, type=socket.SOCK_DGRAM)}
    except OSError:
        return False
    return any(_is_bindable(str(address)) for address in found)


def _is_bindable(address: str) -> bool:
    try:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as trial:
            trial.bind((address, 0))
    except OSError:
        return False
    return True
