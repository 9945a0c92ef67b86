"""A store process whose files were damaged while it was down does not start, and says why."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from flaredb.cli.official_client import connected
from flaredb.cli.waiting import wait_until
from tests.integration.cluster import Cluster

pytestmark = pytest.mark.process
END_DEADLINE_S = 60.0


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def zero_first_page(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(bytes(min(4096, len(data))) + data[4096:])


DAMAGES: list[tuple[str, Callable[[Path], None]]] = [
    ("*.log", flip_a_bit),
    ("*.log", zero_first_page),
    ("MANIFEST-*", cut),
    ("MANIFEST-*", flip_a_bit),
    ("CURRENT", zero_first_page),
]


def test_damaged_files_of_a_stopped_store(tmp_path: Path) -> None:
    """Each damage alone is refused with status 65 and the directory's name; with its own files it serves as before."""
    with Cluster(tmp_path, stores=1, split_keys=()) as cluster:
        with connected(cluster.pd_address) as client:
            for number in range(300):
                client.put(b"k%03d" % number, b"v" * 100)
        cluster.kill(1)
        child = cluster.store(1).child
        home = child.log_path.with_suffix("")
        shutil.copytree(home, tmp_path / "sound")
        (engine,) = {path.parent for path in home.rglob("CURRENT")}
        for pattern, damage in DAMAGES:
            (path,) = [path for path in engine.glob(pattern) if path.stat().st_size]
            damage(path)
            child.start()
            assert wait_until(lambda: not child.is_running(), END_DEADLINE_S), (
                f"{damage.__name__} of {path.name}: it runs"
            )
            assert child.exit_code == 65, f"{damage.__name__} of {path.name}: {child.describe_end()}"
            assert f"{engine}: stored data is damaged" in child.log_tail(), child.log_tail()
            shutil.rmtree(home)
            shutil.copytree(tmp_path / "sound", home)
        cluster.restart(1)
        with connected(cluster.pd_address) as client:
            assert client.get(b"k299") == b"v" * 100
