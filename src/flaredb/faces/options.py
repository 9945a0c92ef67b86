"""What the arguments of a client come to."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from flaredb.client.address import URL_VARIABLE, read_addresses
from flaredb.client.limits import ClientOptions, check_timeout


def client_options(
    addresses: str | Iterable[str] | None,
    timeout: float | None,
    cf: str | None,
    idempotent: bool | None,
    options: ClientOptions | None,
) -> ClientOptions:
    """The options of a client. An argument goes before the URL, the URL before ``options``.

    Errors: ConfigError, TypeError, ValueError.
    """
    chosen = options or ClientOptions()
    if addresses is None and options is None:
        addresses = os.environ.get(URL_VARIABLE) or None
    chosen = read_addresses(addresses, chosen)
    changes: dict[str, Any] = {}
    if timeout is not None:
        changes["timeout_ms"] = check_timeout(timeout, chosen)
    if cf is not None:
        changes["cf"] = cf
    if idempotent is not None:
        changes["idempotent"] = idempotent
    return replace(chosen, **changes) if changes else chosen
