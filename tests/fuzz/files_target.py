"""Files of a store's RocksDB, damaged between two lives: opening or reading says so, or every row is right.

Half of the cases lack the mark of what was synced (engine/rocks_mark.py), as if all had been written within its last
second. Then a log that ends early, cut or zeroed to its end, looks as after a power cut and gives the rows of an
earlier moment, whole batches of them: allowed, and counted. So is a MANIFEST whose end is damaged.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from pathlib import Path
from random import Random

from flaredb.engine.base import ALL_CFS, Engine, EngineError
from flaredb.engine.rocks import open_rocks
from flaredb.engine.rocks_mark import MARK_FILE
from flaredb.engine.rocks_options import RocksOptions
from tests.fuzz.disk_target import written_store

OPTIONS = RocksOptions(
    block_cache_size_bytes=1 << 20,
    write_buffers_size_bytes=1 << 20,
    write_buffer_size_bytes=1 << 20,
    mark_every_s=0.0,
)
PAGE_BYTES = 4096
VALUE_BYTES = 200
LOGGED_BATCHES = 60
PLACES = ("*.log", "*.log", "*.sst", "*.sst", "MANIFEST-*", "CURRENT", "OPTIONS-*", "IDENTITY")
KINDS = ("bit", "bit", "byte", "cut", "page", "gone", "noise", "longer")

Rows = tuple[tuple[str, bytes, bytes], ...]


def all_rows(engine: Engine) -> Rows:
    """Everything in every column family. Errors: EngineError if something there cannot be read."""
    return tuple((cf, key, value) for cf in ALL_CFS for key, value in engine.scan(cf, b"", None))


class FilesTarget:
    """Each case starts from the files of one killed store: tables of half its rows, a log of the rest."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.outcomes: Counter[str] = Counter()
        self._home = tempfile.TemporaryDirectory(prefix="flaredb-fuzz-", dir=_fast_directory())
        self._image = Path(self._home.name) / "image"
        self._moments: list[Rows] = []
        """What there was after each batch of the log; the last is what must be found."""
        self._write()

    def _write(self) -> None:
        source = written_store()
        engine = open_rocks(Path(self._home.name) / "live", OPTIONS)
        batch = engine.batch()
        for cf, key, value in all_rows(source):
            batch.put(cf, key, value)
        for number in range(LOGGED_BATCHES):
            batch.put("default", b"b%03d" % number, self.rng.randbytes(VALUE_BYTES))
        engine.write(batch)
        engine.sync()
        engine.flush()
        for number in range(LOGGED_BATCHES):
            self._moments.append(all_rows(engine))
            for cf in ("raft", "default"):
                batch.put(cf, b"c%03d" % number, self.rng.randbytes(VALUE_BYTES))
            batch.delete("default", b"b%03d" % number)
            engine.write(batch)
            engine.sync()
        self._moments.append(all_rows(engine))
        shutil.copytree(Path(self._home.name) / "live", self._image)
        engine.close()

    def one(self) -> None:
        """Damage one file, open, read everything."""
        with tempfile.TemporaryDirectory(dir=self._home.name) as name:
            directory = Path(name) / "db"
            shutil.copytree(self._image, directory)
            files = [path for path in sorted(directory.glob(self.rng.choice(PLACES))) if path.stat().st_size]
            path = self.rng.choice(files)
            kind = self.rng.choice(KINDS)
            is_marked = self.rng.random() < 0.5
            case = f"{path.name}, {kind}{'' if is_marked else ', no mark'}"
            if not is_marked:
                (directory / MARK_FILE).unlink()
            looks_cut = damage(path, kind, self.rng) or path.name.startswith("MANIFEST")
            self._live(directory, case, may_be_earlier=looks_cut and not is_marked)

    def _live(self, directory: Path, case: str, may_be_earlier: bool) -> None:
        try:
            engine = open_rocks(directory, OPTIONS)
        except EngineError as error:
            self._detected(error, directory, f"{case}: refused")
            return
        try:
            rows = all_rows(engine)
        except EngineError as error:
            self._detected(error, directory, f"{case}: found when read")
            return
        finally:
            engine.close()
        if rows == self._moments[-1]:
            self.outcomes[f"{case}: unharmed"] += 1
            return
        self.outcomes[f"{case}: rows of before"] += 1
        assert may_be_earlier, f"{case}: opened, with other rows than were written"
        assert "MANIFEST" in case or rows in self._moments, f"{case}: rows of no moment that ever was"

    def _detected(self, error: EngineError, directory: Path, outcome: str) -> None:
        assert str(directory) in str(error), "a refusal that does not say where"
        self.outcomes[outcome] += 1

    def close(self) -> None:
        """Remove the files."""
        self._home.cleanup()


def damage(path: Path, kind: str, rng: Random) -> bool:
    """Hurt a file; True if all that follows the damage is gone, too: it may be taken for a write that was cut off."""
    data = bytearray(path.read_bytes())
    at = rng.randrange(len(data))
    reaches_end = False
    if kind == "bit":
        data[at] ^= 1 << rng.randrange(8)
    elif kind == "byte":
        data[at] = rng.choice([value for value in (0, 1, 0x7F, 0xFF) if value != data[at]])
    elif kind == "cut":
        del data[at:]
        reaches_end = True
    elif kind == "page":
        start = at // PAGE_BYTES * PAGE_BYTES
        size_bytes = len(data[start : start + PAGE_BYTES])
        data[start : start + PAGE_BYTES] = bytes(size_bytes)
        reaches_end = start + PAGE_BYTES >= len(data)
    elif kind == "noise":
        data[at:] = rng.randbytes(len(data) - at)
    elif kind == "longer":
        data += rng.randbytes(rng.choice((1, 100, PAGE_BYTES)))
    if kind == "gone":
        path.unlink()
        return True
    path.write_bytes(data)
    return reaches_end


def _fast_directory() -> str | None:
    shared = Path("/dev/shm")
    return str(shared) if shared.is_dir() else None
