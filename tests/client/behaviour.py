"""What every client does, whatever is behind it: the same tests run in memory and against real clusters.

``db`` is a synchronous client whose key space is empty.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from flaredb.errors import ConfigError, KeyTooLargeError, TtlNotEnabledError, ValueTooLargeError


class Behaviour:
    """Tests of the calls; a class that inherits it has a fixture ``db``."""

    def test_a_value_is_what_was_put_last(self, db: Any) -> None:
        assert db.get(b"k") is None
        db.put(b"k", b"1")
        db.put(b"k", b"2")
        assert db.get(b"k") == b"2"
        db.delete(b"k")
        assert db.get(b"k") is None
        db.delete(b"k")

    def test_an_empty_value_is_a_value(self, db: Any) -> None:
        db.put(b"k", b"")
        assert db.get(b"k") == b""
        assert db.get_many([b"k", b"no"]) == [b"", None]
        assert list(db.scan()) == [(b"k", b"")]

    def test_any_bytes_are_a_key(self, db: Any) -> None:
        keys = [b"\x00", b"\x00\x00", b"L", b"L\x00", b"\xff" * 3, bytes(range(256)), b"k" * 8192]
        db.put_many((key, key[::-1]) for key in keys)
        assert list(db.scan(keys_only=True)) == sorted(keys)
        assert db.get_many(keys) == [key[::-1] for key in keys]

    def test_buffers_are_taken_and_bytes_come_back(self, db: Any) -> None:
        db.put(bytearray(b"k"), memoryview(b"value"))
        assert type(db.get(memoryview(b"k"))) is bytes
        assert db.get(b"k") == b"value"

    def test_many_values_come_in_the_order_of_their_keys(self, db: Any) -> None:
        db.put_many({b"a": b"1", b"Z": b"2"})
        assert db.get_many([b"Z", b"no", b"a", b"Z"]) == [b"2", None, b"1", b"2"]
        assert list(db.get_dict([b"Z", b"no", b"a", b"Z"]).items()) == [(b"Z", b"2"), (b"a", b"1")]
        assert db.get_many([]) == []
        assert db.get_dict([]) == {}

    def test_batches_of_any_size(self, db: Any) -> None:
        pairs = {b"%06d" % number: b"v%d" % number for number in range(3_000)}
        pairs |= {b"X%06d" % number: b"w" * 2_000 for number in range(1_000)}
        db.put_many(pairs)
        assert db.get_many(list(pairs)) == list(pairs.values())
        assert db.count() == 4_000
        db.delete_many([key for key in pairs if key.endswith(b"7")])
        assert db.count() == 3_600
        db.put_many({})
        db.delete_many([])

    def test_of_a_key_given_twice_the_last_value_counts(self, db: Any) -> None:
        db.put_many([(b"k", b"1"), (b"j", b"x"), (b"k", b"2")])
        assert db.get(b"k") == b"2"

    def test_scans(self, db: Any) -> None:
        keys = sorted(b"%c%03d" % (letter, number) for letter in b"AKLMz" for number in range(150))
        db.put_many((key, key.lower()) for key in keys)
        rows = [(key, key.lower()) for key in keys]
        assert list(db.scan()) == rows
        assert list(db.scan(reverse=True)) == rows[::-1]
        assert list(db.scan(b"K", b"M")) == [row for row in rows if b"K" <= row[0] < b"M"]
        assert list(db.scan(b"K", b"M", reverse=True)) == [row for row in rows[::-1] if b"K" <= row[0] < b"M"]
        assert list(db.scan(b"K", limit=7)) == [row for row in rows if row[0] >= b"K"][:7]
        assert list(db.scan(None, b"K", reverse=True, limit=160)) == [row for row in rows[::-1] if row[0] < b"K"][:160]
        assert list(db.scan(prefix=b"L", keys_only=True)) == [key for key in keys if key.startswith(b"L")]
        assert list(db.scan(b"L", b"L")) == []
        assert list(db.scan(b"M", b"L")) == []
        assert list(db.scan(limit=0)) == []
        assert list(db.scan(b"L010", b"L010\x00")) == [(b"L010", b"l010")]

    def test_a_scan_is_lazy_and_ends_where_one_stops(self, db: Any) -> None:
        db.put_many({b"%05d" % number: b"" for number in range(500)})
        rows = db.scan()
        assert next(rows) == (b"00000", b"")
        db.delete_range(b"")
        assert len(list(rows)) < 500
        assert list(rows) == []

    def test_a_scan_like_a_model(self, db: Any) -> None:
        rng = random.Random(7)
        model = {rng.randbytes(rng.randint(1, 3)): rng.randbytes(rng.randint(0, 9)) for _ in range(800)}
        db.put_many(model)
        for _ in range(25):
            low, high = sorted((rng.randbytes(2), rng.randbytes(2)))
            limit = rng.choice((None, 1, 5, 64, 65, 300))
            expected = sorted(row for row in model.items() if low <= row[0] < high)
            assert list(db.scan(low, high, limit=limit)) == expected[:limit]
            assert list(db.scan(low, high, limit=limit, reverse=True)) == expected[::-1][:limit]
            assert db.count(low, high) == len(expected)

    def test_compare_and_swap(self, db: Any) -> None:
        assert not db.compare_and_swap(b"k", b"old", b"new")
        result = db.compare_and_swap(b"k", None, b"1")
        assert (result.swapped, result.previous) == (True, None)
        result = db.compare_and_swap(b"k", None, b"2")
        assert (result.swapped, result.previous) == (False, b"1")
        result = db.compare_and_swap(b"k", b"1", b"")
        assert (bool(result), result.previous, db.get(b"k")) == (True, b"1", b"")
        assert not db.compare_and_swap(b"k", None, b"x"), "an empty value is not absence"
        assert db.compare_and_swap(b"k", b"", None)
        assert db.get(b"k") is None

    def test_put_if_absent(self, db: Any) -> None:
        assert db.put_if_absent(b"k", b"1") is True
        assert db.put_if_absent(b"k", b"2") is False
        assert db.get(b"k") == b"1"

    def test_delete_range(self, db: Any) -> None:
        db.put_many(dict.fromkeys((b"A", b"K", b"L", b"La", b"M", b"z"), b""))
        db.delete_range(b"K", b"M")
        assert list(db.scan(keys_only=True)) == [b"A", b"M", b"z"]
        db.delete_range(prefix=b"z")
        db.delete_range(b"M", b"M")
        db.delete_range(None, b"B")
        assert list(db.scan(keys_only=True)) == [b"M"]
        with pytest.raises(ValueError, match="say which keys"):
            db.delete_range()
        db.delete_range(b"")
        assert db.count() == 0

    def test_count_and_checksum(self, db: Any) -> None:
        db.put_many({b"A1": b"x", b"A2": b"yy", b"Z": b""})
        assert (db.count(), db.count(prefix=b"A"), db.count(b"A2", b"Z"), db.count(b"q")) == (3, 2, 1, 0)
        whole, part, rest = db.checksum(), db.checksum(prefix=b"A"), db.checksum(b"B")
        assert (whole.rows, whole.size_bytes) == (3, 8)
        assert whole.checksum == part.checksum ^ rest.checksum
        db.put(b"Z", b"z")
        assert db.checksum().checksum != whole.checksum

    def test_column_families_are_apart(self, db: Any) -> None:
        db.put(b"k", b"d")
        db.put(b"k", b"l", cf="lock")
        db.put_many({b"j": b"w", b"k": b"w"}, cf="write")
        assert [db.get(b"k", cf=cf) for cf in ("default", "lock", "write")] == [b"d", b"l", b"w"]
        assert [db.count(cf=cf) for cf in ("default", "lock", "write")] == [1, 1, 2]
        assert db.compare_and_swap(b"k", b"l", b"m", cf="lock")
        db.delete_many([b"j", b"k"], cf="write")
        db.delete(b"k", cf="lock")
        assert [list(db.scan(keys_only=True, cf=cf)) for cf in ("default", "lock", "write")] == [[b"k"], [], []]
        with pytest.raises(ConfigError, match="use one of default, lock, write"):
            db.get(b"k", cf="raft")

    def test_ttl_says_how_to_have_it(self, db: Any) -> None:
        for call in (lambda: db.put(b"k", b"v", ttl=60), lambda: db.put_many({b"k": b"v"}, ttl=60)):
            with pytest.raises(TtlNotEnabledError, match=r"storage\.enable-ttl"):
                call()
        with pytest.raises(TtlNotEnabledError):
            db.put_if_absent(b"k", b"v", ttl=60)
        assert db.get(b"k") is None

    def test_what_cannot_work_is_refused_at_once(self, db: Any) -> None:
        for call in (
            lambda: db.get("k"),
            lambda: db.put(b"k", "v"),
            lambda: db.get_many(b"k"),
            lambda: db.put_many({"k": b"v"}),
            lambda: db.scan(prefix="k"),
            lambda: db.compare_and_swap(b"k", "a", b"b"),
        ):
            with pytest.raises(TypeError, match=r"bytes|one key"):
                call()
        with pytest.raises(KeyTooLargeError):
            db.put(b"k" * 8193, b"")
        with pytest.raises(ValueTooLargeError):
            db.put(b"k", bytes(9 << 20))
        with pytest.raises(ValueError, match="limit"):
            db.scan(limit=-1)
        with pytest.raises(ValueError, match="timeout"):
            db.get(b"k", timeout=0)

    def test_a_large_value(self, db: Any) -> None:
        value = random.Random(1).randbytes(3 << 20)
        db.put(b"large", value, timeout=30)
        db.put(b"Large", value, timeout=30)
        assert db.get(b"large", timeout=30) == value
        assert [len(row[1]) for row in db.scan(timeout=30)] == [len(value)] * 2

    def test_it_feels_like_a_dict(self, db: Any) -> None:
        db[b"u/1"] = b"x"
        db[b"u/2"] = b"y"
        db[b"v"] = b"z"
        assert db[b"u/1"] == b"x"
        assert (b"u/1" in db, b"u/3" in db) == (True, False)
        assert list(db.keys(b"u/")) == [b"u/1", b"u/2"]
        assert dict(db.items(b"u/")) == {b"u/1": b"x", b"u/2": b"y"}
        assert list(db) == [b"u/1", b"u/2", b"v"]
        del db[b"u/1"]
        with pytest.raises(KeyError):
            db[b"u/1"]
