"""PD's HTTP API from a command: one short request at a time, with nothing that takes long to load."""

from __future__ import annotations

import http.client
import json
import time
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlsplit

from flaredb.model.errors import ConfigError, FlareDBError

API = "/pd/api/v1"
EXAMPLE = "http://127.0.0.1:2379"
TIMEOUT_S = 20.0
_CLIENT_SCHEMES = ("flaredb://", "tikv://")


class PdUnreachable(FlareDBError):
    """No address of PD answers."""

    retryable = True


class PdRefused(FlareDBError):
    """PD answers, but not with what was asked for. ``status`` is HTTP's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Pd:
    """Asks the first of the addresses that answers."""

    def __init__(self, urls: str, timeout_s: float = TIMEOUT_S) -> None:
        """``urls``: one or several, with commas between; a bare host:port is http.

        Errors: ConfigError for what is no such address.
        """
        self._places = [_place(url.strip()) for url in _without_client_scheme(urls).split(",") if url.strip()]
        if not self._places:
            raise ConfigError(f"--pd names no address: write one such as {EXAMPLE}")
        self._timeout_s = timeout_s
        self.clock_ahead_s = 0.0
        """PD's clock less ours, to about a second, as of the last answer."""

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts of the addresses."""
        return tuple(host for host, _ in self._places)

    @property
    def addresses(self) -> tuple[str, ...]:
        """host:port of each."""
        return tuple(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self._places)

    def now_s(self) -> float:
        """PD's time, unix seconds, to about a second."""
        return time.time() + self.clock_ahead_s

    def get(self, path: str) -> Any:
        """What a page says, decoded from JSON. Errors: PdUnreachable, PdRefused."""
        return self._ask("GET", path)

    def post(self, path: str, body: Any = None) -> Any:
        """The answer to an order. Errors: PdUnreachable, PdRefused."""
        return self._ask("POST", path, body)

    def delete(self, path: str, body: Any = None) -> Any:
        """The answer to an order. Errors: PdUnreachable, PdRefused."""
        return self._ask("DELETE", path, body)

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        reasons = []
        for host, port in self._places:
            connection = http.client.HTTPConnection(host, port, timeout=self._timeout_s)
            try:
                connection.connect()
            except OSError as error:
                connection.close()
                reasons.append(f"{host}:{port} ({error.strerror or error})")
                continue
            try:
                answer, date = _exchange(connection, method, path, body)
                self._note_date(date)
                return answer
            except (OSError, http.client.HTTPException) as error:
                # It may have got the order: only asking is safe to repeat at another address.
                if method != "GET":
                    raise PdUnreachable(
                        f"PD at {host}:{port} broke off ({_reason(error)}): look whether the order was carried out"
                    ) from error
                reasons.append(f"{host}:{port} ({_reason(error)})")
            finally:
                connection.close()
        raise PdUnreachable(f"PD does not answer at {', '.join(reasons)}: name its address by --pd or FLAREDB_URL")

    def _note_date(self, date: str) -> None:
        dated_s = _dated_s(date)
        if dated_s is not None:
            ahead_s = dated_s - time.time()
            # Below the header's own grain there is nothing to correct.
            self.clock_ahead_s = ahead_s if abs(ahead_s) > 1 else 0.0


def _dated_s(date: str) -> float | None:
    """Unix seconds of a Date header; None if it is none. It is cut to whole seconds: half of one is added."""
    try:
        return parsedate_to_datetime(date).timestamp() + 0.5
    except ValueError:
        return None


def key_path(key: bytes) -> str:
    """A key as part of a path."""
    return quote(key, safe="")


def _without_client_scheme(urls: str) -> str:
    """Addresses as clients of the data write them, such as flaredb://h1:2379,h2:2379/?timeout=2s, as PD's alone."""
    if not urls.strip().startswith(_CLIENT_SCHEMES):
        return urls
    from flaredb.client.address import read_addresses
    from flaredb.client.limits import ClientOptions

    return ",".join(read_addresses(urls, ClientOptions()).endpoints)


def _place(url: str) -> tuple[str, int]:
    try:
        parts = urlsplit(url if "//" in url else f"//{url}", scheme="http")
        port = parts.port or 2379
    except ValueError as error:
        raise ConfigError(f"--pd {url}: {error}; write an address such as {EXAMPLE}") from error
    if parts.scheme == "https":
        raise ConfigError(f"--pd {url}: https is not offered yet; use http")
    if parts.scheme != "http" or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ConfigError(f"--pd {url} is no address of PD: write one such as {EXAMPLE}")
    return parts.hostname, port


def _exchange(connection: http.client.HTTPConnection, method: str, path: str, body: Any) -> tuple[Any, str]:
    """The answer, and when it was given (HTTP's Date)."""
    headers = {"X-Caller-ID": "flaredb-ctl", "Connection": "close"}
    payload = None
    if method == "POST" or body is not None:
        payload = json.dumps(body if body is not None else {})
        headers["Content-Type"] = "application/json"
    connection.request(method, API + path, payload, headers)
    response = connection.getresponse()
    text = response.read().decode("utf-8", "replace")
    date = response.getheader("Date", "")
    if response.status != 200:
        raise PdRefused(response.status, _refusal(response.status, text, path))
    if not text.strip():
        return None, date
    try:
        return json.loads(text), date
    except ValueError as error:
        raise PdRefused(response.status, f"{connection.host}:{connection.port} answers, but not as PD does") from error


def _refusal(status: int, text: str, path: str) -> str:
    """PD's sentence on one line; stock PD writes it as a JSON string."""
    try:
        said = json.loads(text)
    except ValueError:
        said = text
    sentence = " ".join((said if isinstance(said, str) else text).split())
    if status == 404 and (not sentence or "does not exist; here are" in sentence or sentence == "404 page not found"):
        return f"this PD does not offer {API}{path.partition('?')[0]}"
    return sentence or f"PD answers {status} without a reason"


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) or type(error).__name__
