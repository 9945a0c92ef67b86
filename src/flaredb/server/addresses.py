"""Addresses as flags and files name them: host:port, with or without http:// before it."""

from __future__ import annotations

import errno
import socket

from flaredb.model.errors import ConfigError

ANY_HOST = ("", "0.0.0.0", "[::]")


def split_address(text: str, what: str) -> tuple[str, int]:
    """Host and port of "host:port"; an IPv6 host keeps its brackets.

    Errors: ConfigError naming ``what`` for anything else.
    """
    host, colon, port_text = text.rpartition(":")
    if not colon or not port_text.isascii() or not port_text.isdigit() or int(port_text) > 65535:
        raise ConfigError(f'{what} = "{text}" is not an address: write host:port, such as "127.0.0.1:20160"')
    if any(letter in host for letter in "/ \t") or (":" in host and not host.startswith("[")):
        raise ConfigError(f'{what} = "{text}" is not an address: write host:port, such as "127.0.0.1:20160"')
    return host, int(port_text)


def from_url(text: str, what: str) -> str:
    """host:port of a URL or plain address.

    Errors: ConfigError for https (there is no TLS yet) and for what is not an address.
    """
    address = text.strip().removesuffix("/")
    if address.startswith("https://"):
        raise ConfigError(f'{what} = "{text}": TLS is not supported yet; use http://')
    address = address.removeprefix("http://")
    split_address(address, what)
    return address


def shifted(address: str, by: int, what: str) -> str:
    """The same host, another port: ``by`` further on; port 0 (any free one) stays 0."""
    host, port = split_address(address, what)
    if port and port + by > 65535:
        raise ConfigError(f"{what}: the port after {address} by {by} does not exist; name the address yourself")
    return f"{host}:{port + by if port else 0}"


def check_can_listen(address: str, setting: str) -> None:
    """Try the port before gRPC does, which reports a failure in words of its own, on standard error.

    Errors: ConfigError as ``listen_refusal``.
    """
    host, port = split_address(address, setting)
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            host.strip("[]") or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(where)
    except OSError as error:
        raise ConfigError(listen_refusal(address, setting, error)) from error


def listen_refusal(address: str, setting: str, error: OSError) -> str:
    """Why a process cannot listen on ``address``, and which setting to change."""
    if error.errno == errno.EADDRINUSE:
        return f"port in use: another process listens on {address}; stop it, or set {setting} to another port"
    return f"cannot listen on {address}: {error.strerror or error}; change {setting}"
