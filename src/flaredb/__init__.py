"""FlareDB: a strongly consistent, range-sharded, replicated key-value store that speaks TiKV's protocol.

    import flaredb

    with flaredb.connect("127.0.0.1:2379") as db:
        db[b"hello"] = b"world"
        print(db.get(b"hello"))

``flaredb.Client`` and ``flaredb.connect``: the synchronous client. ``flaredb.aio``: the same for asyncio.
``flaredb.errors``: what they raise. ``flaredb.testing``: clusters and a client in memory for tests.
Names are loaded when first used: the command line imports this package too.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flaredb import aio as aio
    from flaredb import errors as errors
    from flaredb import testing as testing
    from flaredb.client.limits import ClientOptions as ClientOptions
    from flaredb.client.results import RangeChecksum as RangeChecksum
    from flaredb.client.results import SwapResult as SwapResult
    from flaredb.errors import BusyError as BusyError
    from flaredb.errors import ClientError as ClientError
    from flaredb.errors import ClosedError as ClosedError
    from flaredb.errors import ConfigError as ConfigError
    from flaredb.errors import ConnectionError as ConnectionError
    from flaredb.errors import FlareDBError as FlareDBError
    from flaredb.errors import LimitError as LimitError
    from flaredb.errors import RequestRefusedError as RequestRefusedError
    from flaredb.errors import TimeoutError as TimeoutError
    from flaredb.errors import UndeterminedError as UndeterminedError
    from flaredb.faces.sync_client import Client as Client
    from flaredb.faces.sync_client import connect as connect

__version__ = "0.1.0"

_HOMES = {
    "Client": "flaredb.faces.sync_client",
    "connect": "flaredb.faces.sync_client",
    "ClientOptions": "flaredb.client.limits",
    "RangeChecksum": "flaredb.client.results",
    "SwapResult": "flaredb.client.results",
    "BusyError": "flaredb.errors",
    "ClientError": "flaredb.errors",
    "ClosedError": "flaredb.errors",
    "ConfigError": "flaredb.errors",
    "ConnectionError": "flaredb.errors",
    "FlareDBError": "flaredb.errors",
    "LimitError": "flaredb.errors",
    "RequestRefusedError": "flaredb.errors",
    "TimeoutError": "flaredb.errors",
    "UndeterminedError": "flaredb.errors",
}
_MODULES = ("aio", "errors", "testing")


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"flaredb.{name}")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'flaredb' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES, *_MODULES])
