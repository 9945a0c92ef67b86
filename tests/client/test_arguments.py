"""What is accepted, and how the rest is refused."""

from __future__ import annotations

from typing import Any

import pytest

from flaredb.client.address import read_addresses
from flaredb.client.errors import KeyTooLargeError, LimitError, ValueTooLargeError
from flaredb.client.limits import (
    ClientOptions,
    as_bytes,
    check_key,
    check_keys,
    check_pair,
    check_range,
    check_timeout,
    check_ttl,
    prefix_end,
)
from flaredb.model.errors import ConfigError

OPTIONS = ClientOptions()


@pytest.mark.parametrize("given", [b"ab", bytearray(b"ab"), memoryview(b"ab"), memoryview(b"a-b-")[::2]])
def test_any_buffer_is_taken(given: Any) -> None:
    assert as_bytes(given, "the key") in (b"ab",)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("ab", "must be bytes, not str: write b'ab', or 'ab'.encode()"),
        (7, "must be bytes or another buffer, not int"),
        (None, "not NoneType"),
        ([97], "not list"),
    ],
)
def test_what_is_no_buffer_is_refused_with_the_cure(given: Any, text: str) -> None:
    with pytest.raises(TypeError) as caught:
        check_key(given, OPTIONS)
    assert text in str(caught.value)


def test_one_key_is_no_list_of_keys() -> None:
    with pytest.raises(TypeError, match=r"write \[key\]"):
        check_keys(b"abc", OPTIONS)


def test_limits_say_size_limit_and_setting() -> None:
    with pytest.raises(KeyTooLargeError) as key_error:
        check_key(b"k" * 8193, OPTIONS)
    assert (key_error.value.size, key_error.value.limit) == (8193, 8192)
    assert "8,193 bytes; at most 8,192" in str(key_error.value)
    assert "storage.max-key-size" in str(key_error.value)
    with pytest.raises(ValueTooLargeError, match=r"raftstore\.raft-entry-max-size") as value_error:
        check_pair(b"k", bytes(8 << 20), OPTIONS)
    assert isinstance(value_error.value, LimitError | ValueError)
    assert value_error.value.key == b"k"


@pytest.mark.parametrize(
    ("prefix", "end"), [(b"a", b"b"), (b"a\xff", b"b"), (b"\xff\xff", b""), (b"", b""), (b"a\x00", b"a\x01")]
)
def test_prefixes_end_before_the_next_key(prefix: bytes, end: bytes) -> None:
    assert prefix_end(prefix) == end
    assert check_range(None, None, prefix, OPTIONS) == (prefix, end)


def test_ranges_that_say_too_much_or_nothing() -> None:
    with pytest.raises(ValueError, match="not both"):
        check_range(b"a", None, b"b", OPTIONS)
    with pytest.raises(ValueError, match="say which keys"):
        check_range(None, None, None, OPTIONS, must_say=True)
    assert check_range(None, None, None, OPTIONS) == (b"", b"")
    assert check_range(b"", None, None, OPTIONS, must_say=True) == (b"", b"")


def test_numbers() -> None:
    assert [check_ttl(ttl) for ttl in (None, 1, 0.2, 1.5)] == [0, 1, 1, 2]
    assert [check_timeout(timeout, OPTIONS) for timeout in (None, 0.25, 3)] == [5_000, 250, 3_000]
    for wrong in (0, -1):
        with pytest.raises(ValueError, match="above 0"):
            check_ttl(wrong)
        with pytest.raises(ValueError, match="above 0"):
            check_timeout(wrong, OPTIONS)
    for odd in ("3", True):
        with pytest.raises(TypeError):
            check_timeout(odd, OPTIONS)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "endpoints"),
    [
        (None, ("127.0.0.1:2379",)),
        ("db", ("db:2379",)),
        ("db:1", ("db:1",)),
        ("a:1, b:2,a:1", ("a:1", "b:2")),
        (["a:1", "b:2"], ("a:1", "b:2")),
        (["http://a:1/", "b"], ("a:1", "b:2379")),
        ("flaredb://a:1,b:2/", ("a:1", "b:2")),
        ("flaredb://[::1]:7", ("[::1]:7",)),
        ("[::1]", ("[::1]:2379",)),
    ],
)
def test_addresses(given: Any, endpoints: tuple[str, ...]) -> None:
    assert read_addresses(given, OPTIONS).endpoints == endpoints


def test_the_url_sets_options() -> None:
    options = read_addresses("flaredb://a/?timeout=2s&cf=lock&idempotent=true&calls-max=9", OPTIONS)
    assert (options.timeout_ms, options.cf, options.idempotent, options.calls_max) == (2_000, "lock", True, 9)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("", "names no address"),
        ("a:0", "is no address"),
        ("a:b", "is no address"),
        ("https://a", "scheme must be flaredb"),
        ("flaredb://a/?tmeout=2s", "did you mean timeout?"),
        ("flaredb://a/?timeout=2", "timeout"),
        ("flaredb://a/?idempotent=maybe", "true or false"),
        ("flaredb://a/?cf=x", "column family 'x' does not exist"),
    ],
)
def test_addresses_that_cannot_work(given: str, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_addresses(given, OPTIONS)
    assert text in str(caught.value)


def test_addresses_are_text() -> None:
    for given in (b"a:1", [b"a:1"], [7]):
        with pytest.raises(TypeError):
            read_addresses(given, OPTIONS)  # type: ignore[arg-type]
