"""Where the cluster is, as people write it: a URL, host:port, several with commas, a list, or FLAREDB_URL."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from flaredb.client.limits import ClientOptions
from flaredb.model.errors import ConfigError
from flaredb.model.units import parse_duration_ms, parse_size_bytes

URL_VARIABLE = "FLAREDB_URL"
DEFAULT_PORT = 2379
EXAMPLE = "flaredb://host1:2379,host2:2379/?timeout=2s"
_SCHEMES = ("flaredb://", "http://", "tikv://")


def _flag(text: str) -> bool:
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off"):
        return False
    raise ValueError("true or false")


_PARAMETERS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "timeout": ("timeout_ms", parse_duration_ms),
    "cf": ("cf", str),
    "idempotent": ("idempotent", _flag),
    "atomic": ("atomic", _flag),
    "key-size-max": ("key_size_bytes_max", parse_size_bytes),
    "write-size-max": ("write_size_bytes_max", parse_size_bytes),
    "calls-max": ("calls_max", int),
}
"""Parameter of the URL -> field of ClientOptions and how it is read."""


def read_addresses(given: str | Iterable[str] | None, options: ClientOptions) -> ClientOptions:
    """``options`` with the endpoints, and whatever else the URL sets.

    Errors: ConfigError that says which part cannot be read; TypeError for something that is neither text nor a list.
    """
    if given is None:
        return options
    if isinstance(given, bytes):
        raise TypeError(f"addresses are text, not bytes: {EXAMPLE}")
    texts = [given] if isinstance(given, str) else list(given)
    if not all(isinstance(text, str) for text in texts):
        raise TypeError(f'addresses are text, or a list of texts, such as "{EXAMPLE}" or ["host1:2379", "host2:2379"]')
    endpoints: list[str] = []
    for text in texts:
        hosts, _, query = _without_scheme(text).partition("?")
        endpoints += [_endpoint(part) for part in hosts.strip("/ ").split(",") if part.strip()]
        options = _with_parameters(options, query)
    if not endpoints:
        raise ConfigError(f"{given!r} names no address; write {EXAMPLE}")
    return replace(options, endpoints=tuple(dict.fromkeys(endpoints)))


def _without_scheme(text: str) -> str:
    text = text.strip()
    if "://" not in text:
        return text
    scheme = next((scheme for scheme in _SCHEMES if text.startswith(scheme)), None)
    if scheme is None:
        raise ConfigError(f"{text!r}: the scheme must be flaredb, as in {EXAMPLE} (TLS is not supported yet)")
    return text[len(scheme) :]


def _endpoint(text: str) -> str:
    """host:port of one address."""
    text = _without_scheme(text).strip().strip("/")
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, str(DEFAULT_PORT)
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536 or "/" in host or "@" in host:
        raise ConfigError(f"{text!r} is no address: write host:port, such as 127.0.0.1:{DEFAULT_PORT}")
    return f"{host}:{port}"


def _with_parameters(options: ClientOptions, query: str) -> ClientOptions:
    changes: dict[str, Any] = {}
    for part in filter(None, query.split("&")):
        name, _, value = part.partition("=")
        known = _PARAMETERS.get(name)
        if known is None:
            import difflib  # only where it is needed: it takes milliseconds to load

            near = difflib.get_close_matches(name, _PARAMETERS, 1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(_PARAMETERS)}"
            raise ConfigError(f"the URL has an unknown parameter {name!r}; {hint}")
        field, read = known
        try:
            changes[field] = read(value)
        except ValueError as error:
            raise ConfigError(f"the URL's {name}={value!r} cannot be read: {error}") from error
    return replace(options, **changes) if changes else options
