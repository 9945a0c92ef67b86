"""Both engines do the same under the same random operations; a plain dict is the judge of both."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flaredb.engine.base import CF_DEFAULT, CF_LOCK, CF_RAFT, Engine, Snapshot
from flaredb.engine.memory import MemoryEngine
from flaredb.engine.rocks import open_rocks
from flaredb.engine.rocks_options import RocksOptions
from tests.engine.killed import kill

CFS = (CF_DEFAULT, CF_LOCK, CF_RAFT)
ALPHABET = (b"", b"\x00", b"a", b"\xff")
Rows = dict[str, dict[bytes, bytes]]


def draw_key(rng: Random) -> bytes:
    return b"".join(rng.choice(ALPHABET) for _ in range(4))


def draw_range(rng: Random) -> tuple[bytes, bytes | None]:
    return draw_key(rng), None if rng.random() < 0.3 else draw_key(rng)


class Twins:
    """The two engines and the dict, driven by one generator."""

    def __init__(self, rng: Random, directory: Path) -> None:
        self.rng, self.directory, self.opened = rng, directory, 0
        self.options = RocksOptions(write_buffer_size_bytes=64 * 1024, write_buffers_size_bytes=256 * 1024)
        self.memory = MemoryEngine()
        self.rocks = open_rocks(directory / "0", self.options)
        self.rows: Rows = {cf: {} for cf in CFS}
        self.snapshots: list[tuple[Snapshot, Snapshot, Rows]] = []

    def step(self) -> None:
        self.rng.choices(
            (self.write, self.read, self.take_snapshot, self.drop_snapshot, self.flush, self.sync, self.crash),
            (30, 40, 4, 4, 2, 4, 1),
        )[0]()

    def write(self) -> None:
        batches = (self.memory.batch(), self.rocks.batch())
        for _ in range(self.rng.randrange(12)):
            cf, key, kind = self.rng.choice(CFS), draw_key(self.rng), self.rng.random()
            if kind < 0.6:
                value = self.rng.randbytes(self.rng.choice((0, 1, 30, 3000)))
                self.rows[cf][key] = value
                for batch in batches:
                    batch.put(cf, key, value)
            elif kind < 0.85:
                self.rows[cf].pop(key, None)
                for batch in batches:
                    batch.delete(cf, key)
            else:
                start, end = draw_range(self.rng)
                for gone in [k for k in self.rows[cf] if start <= k and (end is None or k < end)]:
                    del self.rows[cf][gone]
                for batch in batches:
                    batch.delete_range(cf, start, end)
        assert len(batches[0]) == len(batches[1])
        for engine, batch in zip((self.memory, self.rocks), batches, strict=True):
            engine.write(batch)

    def read(self) -> None:
        cf = self.rng.choice(CFS)
        start, end = draw_range(self.rng)
        reverse, keys_only = self.rng.random() < 0.5, self.rng.random() < 0.2
        limit = self.rng.choice((None, None, 0, 1, 5))
        wanted = [draw_key(self.rng) for _ in range(3)]
        views = [(self.memory, self.rocks, self.rows), *self.snapshots]
        memory, rocks, rows = self.rng.choice(views)
        expected = sorted(
            ((k, b"" if keys_only else v) for k, v in rows[cf].items() if k >= start and (end is None or k < end)),
            reverse=reverse,
        )[:limit]
        for reader in (memory, rocks):
            found = reader.scan(cf, start, end, reverse=reverse, limit=limit, keys_only=keys_only)
            assert list(found) == expected
            assert reader.multi_get(cf, wanted) == [rows[cf].get(key) for key in wanted]
            assert reader.get(cf, wanted[0]) == rows[cf].get(wanted[0])

    def take_snapshot(self) -> None:
        if len(self.snapshots) < 3:
            copy = {cf: dict(rows) for cf, rows in self.rows.items()}
            self.snapshots.append((self.memory.snapshot(), self.rocks.snapshot(), copy))

    def drop_snapshot(self) -> None:
        if self.snapshots:
            memory, rocks, _ = self.snapshots.pop(self.rng.randrange(len(self.snapshots)))
            memory.close()
            rocks.close()

    def flush(self) -> None:
        self.rocks.flush()

    def sync(self) -> None:
        self.memory.sync()
        self.rocks.sync()

    def crash(self) -> None:
        """Half the time a killed process, else a clean stop. Both keep everything that was written."""
        self.memory = self.memory.crash(self.rng, "all")
        here = self.directory / str(self.opened)
        self.opened += 1
        there = self.directory / str(self.opened)
        if self.rng.random() < 0.5:
            kill(self.rocks, there)
        else:
            self.rocks.close()
            here.rename(there)
        self.rocks = open_rocks(there, self.options)
        self.snapshots.clear()
        self.compare_everything()

    def compare_everything(self) -> None:
        for cf in CFS:
            assert list(self.memory.scan(cf, b"", None)) == sorted(self.rows[cf].items())
            assert list(self.rocks.scan(cf, b"", None)) == sorted(self.rows[cf].items())


@pytest.mark.parametrize("seed", range(6))
def test_the_engines_are_twins(seed, tmp_path):
    twins = Twins(Random(seed), tmp_path)
    for _ in range(800):
        twins.step()
    twins.compare_everything()
    twins.rocks.close()


operations = st.lists(
    st.tuples(
        st.sampled_from(("put", "delete", "range")),
        st.binary(max_size=3),
        st.one_of(st.none(), st.binary(max_size=3)),
    ),
    max_size=8,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(operations, max_size=8), st.integers(0, 8), st.integers(0, 2**16))
def test_a_crash_leaves_the_state_after_some_batch_at_or_past_the_last_sync(batches, sync_after, seed):
    engine = MemoryEngine()
    states: list[dict[bytes, bytes]] = [{}]
    for number, batch_operations in enumerate(batches, 1):
        apply(engine, batch_operations)
        states.append(dict(engine.scan(CF_DEFAULT, b"", None)))
        if number == sync_after:
            engine.sync()
    synced = sync_after if sync_after <= len(batches) else 0
    rng = Random(seed)
    keep = rng.choice(("synced", "prefix", "all"))
    after = dict(engine.crash(rng, keep).scan(CF_DEFAULT, b"", None))
    allowed = {"synced": states[synced : synced + 1], "prefix": states[synced:], "all": states[-1:]}[keep]
    assert after in allowed


def apply(engine: Engine, batch_operations: list[tuple[str, bytes, bytes | None]]) -> None:
    batch = engine.batch()
    for kind, key, other in batch_operations:
        if kind == "put":
            batch.put(CF_DEFAULT, key, other or b"")
        elif kind == "delete":
            batch.delete(CF_DEFAULT, key)
        else:
            batch.delete_range(CF_DEFAULT, key, other)
    engine.write(batch)
