"""Keys: order, round trips, refusals, and the one notation for people."""

from __future__ import annotations

import ast
import base64
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flaredb.model import keys
from flaredb.model.ids import RegionId

ids = st.integers(1, 2**64 - 1).map(RegionId)
indexes = st.integers(0, 2**64 - 1)
some_keys = st.binary(max_size=40) | st.lists(st.sampled_from([0, 1, 0xFE, 0xFF]), max_size=40).map(bytes)


@given(ids, indexes)
def test_log_key_round_trip(region_id: RegionId, index: int) -> None:
    assert keys.decode_log_key(keys.log_key(region_id, index)) == (region_id, index)


@given(ids, indexes, ids, indexes)
def test_log_keys_sort_by_region_then_index(region_a: RegionId, index_a: int, region_b: RegionId, index_b: int) -> None:
    by_key = keys.log_key(region_a, index_a) < keys.log_key(region_b, index_b)
    assert by_key == ((region_a, index_a) < (region_b, index_b))


@given(ids)
def test_region_state_key_round_trip_and_place(region_id: RegionId) -> None:
    key = keys.region_state_key(region_id)
    assert keys.decode_region_state_key(key) == region_id
    assert keys.REGION_STATES_START <= key < keys.REGION_STATES_END


@given(ids, ids)
def test_region_state_keys_sort_by_region(one: RegionId, other: RegionId) -> None:
    assert (keys.region_state_key(one) < keys.region_state_key(other)) == (one < other)


@given(ids, indexes, ids, indexes)
def test_no_two_raft_keys_are_the_same(region_a: RegionId, index_a: int, region_b: RegionId, index_b: int) -> None:
    made = [
        keys.hard_state_key(region_a),
        keys.apply_state_key(region_a),
        keys.log_key(region_a, index_a),
        keys.hard_state_key(region_b),
        keys.apply_state_key(region_b),
        keys.log_key(region_b, index_b),
    ]
    kinds = 3 + (region_a != region_b) * 2 + ((region_a, index_a) != (region_b, index_b))
    assert len(set(made)) == kinds


@given(ids, indexes)
def test_a_region_is_one_range_of_raft_keys(region_id: RegionId, index: int) -> None:
    """All keys of a region lie between its number and the next, so that they can be deleted as one range."""
    low = region_id.to_bytes(8, "big")
    for key in (keys.hard_state_key(region_id), keys.apply_state_key(region_id), keys.log_key(region_id, index)):
        assert key.startswith(low)
        assert low < key
        if region_id < 2**64 - 1:
            assert key < (region_id + 1).to_bytes(8, "big")


def test_keys_of_the_meta_family_do_not_meet() -> None:
    states = range(keys.REGION_STATES_START[0], keys.REGION_STATES_END[0])
    assert keys.STORE_IDENT_KEY != keys.BOOTSTRAP_MARKER_KEY
    assert keys.STORE_IDENT_KEY[0] not in states
    assert keys.BOOTSTRAP_MARKER_KEY[0] not in states


@pytest.mark.parametrize(
    ("decode", "key"),
    [
        (keys.decode_log_key, b""),
        (keys.decode_log_key, keys.hard_state_key(RegionId(7))),
        (keys.decode_log_key, keys.log_key(RegionId(7), 1) + b"\x00"),
        (keys.decode_log_key, keys.log_key(RegionId(7), 1).replace(b"\x03", b"\x02", 1)),
        (keys.decode_region_state_key, b""),
        (keys.decode_region_state_key, keys.STORE_IDENT_KEY),
        (keys.decode_region_state_key, b"\x04" + bytes(8)),
        (keys.decode_region_state_key, keys.region_state_key(RegionId(7)) + b"\x00"),
    ],
)
def test_a_key_of_another_kind_is_refused_and_shown(decode: Callable[[bytes], object], key: bytes) -> None:
    with pytest.raises(ValueError, match=r"not a .* key") as error:
        decode(key)
    assert keys.format_key(key) in str(error.value)


# ---------------------------------------------------------------- memcomparable


def _encoded_by_hand(key: bytes) -> bytes:
    """The rule, written another way: pad to full groups, then a byte that says how much of each group counts."""
    groups = len(key) // 8 + 1
    padded = key.ljust(groups * 8, b"\x00")
    markers = [0xFF] * (groups - 1) + [0xFF - (groups * 8 - len(key))]
    return b"".join(padded[8 * number :][:8] + bytes([marker]) for number, marker in enumerate(markers))


@pytest.mark.parametrize(
    ("key", "encoded"),
    [
        (b"", "0000000000000000 f7"),
        (b"\x01\x02\x03", "0102030000000000 fa"),
        (b"\x01\x02\x03\x00", "0102030000000000 fb"),
        (b"\x01\x02\x03\x04\x05\x06\x07\x08", "0102030405060708 ff 0000000000000000 f7"),
        (b"\xff" * 9, "ffffffffffffffff ff ff00000000000000 f8"),
    ],
)
def test_memcomparable_by_known_bytes(key: bytes, encoded: str) -> None:
    assert keys.encode_memcomparable(key) == bytes.fromhex(encoded)
    assert keys.decode_memcomparable(bytes.fromhex(encoded)) == key


@given(some_keys)
def test_memcomparable_agrees_with_the_rule_and_comes_back(key: bytes) -> None:
    encoded = keys.encode_memcomparable(key)
    assert encoded == _encoded_by_hand(key)
    assert keys.decode_memcomparable(encoded) == key


@given(some_keys, some_keys)
@example(b"12345678", b"12345678\x00")
@example(b"1234567", b"1234567\x00")
@example(b"", b"\x00")
def test_memcomparable_keeps_the_order(one: bytes, other: bytes) -> None:
    assert (keys.encode_memcomparable(one) < keys.encode_memcomparable(other)) == (one < other)


@given(some_keys, some_keys)
def test_memcomparable_keys_are_no_prefixes_of_each_other(one: bytes, other: bytes) -> None:
    if one != other:
        assert not keys.encode_memcomparable(other).startswith(keys.encode_memcomparable(one))


@given(some_keys)
def test_what_is_not_exactly_one_encoded_key_is_refused(data: bytes) -> None:
    """Whatever decodes is the encoding of what it decodes to: no second spelling of a key exists."""
    try:
        key = keys.decode_memcomparable(data)
    except ValueError:
        pass
    else:
        assert keys.encode_memcomparable(key) == data


@pytest.mark.parametrize(
    ("case", "encoded"),
    [
        ("nothing", ""),
        ("half a group", "01020304"),
        ("a full group without a last one", "0102030405060708 ff"),
        ("padding that is not zero", "0102030000000001 fa"),
        ("a marker below the range", "0102030000000000 f6"),
        ("bytes after the end", "0102030000000000 fa 00"),
        ("a second key after the end", "0102030000000000 fa 0000000000000000 f7"),
    ],
)
def test_damaged_memcomparable_is_refused(case: str, encoded: str) -> None:
    with pytest.raises(ValueError, match="invalid encoded key"):
        keys.decode_memcomparable(bytes.fromhex(encoded))


# ---------------------------------------------------------------- for people


@given(some_keys)
def test_a_shown_key_can_be_pasted_into_python(key: bytes) -> None:
    shown = keys.format_key(key)
    assert ast.literal_eval(shown) == key
    assert shown.isascii()
    assert keys.format_key(bytearray(key)) == keys.format_key(memoryview(key)) == shown  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("start", "end", "shown"),
    [
        (b"", b"", "[-inf, +inf)"),
        (b"a", b"", "[b'a', +inf)"),
        (b"", b"\xff", r"[-inf, b'\xff')"),
        (b"a", b"b", "[b'a', b'b')"),
    ],
)
def test_a_shown_range_says_where_it_is_open(start: bytes, end: bytes, shown: str) -> None:
    assert keys.format_range(start, end) == shown


@given(some_keys)
def test_a_key_can_be_written_in_each_notation(key: bytes) -> None:
    for written in (keys.format_key(key), "hex:" + key.hex(), "b64:" + base64.b64encode(key).decode()):
        assert keys.parse_key(written) == key
    assert keys.parse_key_list(f"{keys.format_key(key)},hex:{key.hex()}, a") == (key, key, b"a")


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("", b""),
        ("user/42", b"user/42"),
        ("b", b"b"),
        ("\u00e9", b"\xc3\xa9"),
        ("\udcff", b"\xff"),  # how Python hands over an argument that is not UTF-8
        ("b'a\\x00'", b"a\x00"),
        ('b"it\'s"', b"it's"),
        ("hex:00fF", b"\x00\xff"),
        ("b64:AP8=", b"\x00\xff"),
        ("b'hex:61'", b"hex:61"),
    ],
)
def test_how_keys_are_written(written: str, key: bytes) -> None:
    assert keys.parse_key(written) == key


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("hex:0", "pairs of hexadecimal digits"),
        ("b64:AP8", "base64 with its padding"),
        ("b'a", "Python bytes literal"),
        ("b'a' + b'b'", "Python bytes literal"),
        (r"b'\d'", "Python bytes literal"),
        ("b'\u00e9'", "Python bytes literal"),
    ],
)
def test_what_is_no_key_is_refused_in_words(written: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        keys.parse_key(written)


def test_lists_of_keys() -> None:
    assert keys.parse_key_list("a") == (b"a",)
    assert keys.parse_key_list("b, hex:63 ,b'd,e'") == (b"b", b"c", b"d,e")
    for wrong in ("", "a,", ",a", "a,,b", "b'a'x"):
        with pytest.raises(ValueError, match=r"no list of keys|bytes literal"):
            keys.parse_key_list(wrong)
