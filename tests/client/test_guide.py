"""The code in README.md and docs/client.md runs, and prints what its comments say."""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from pathlib import Path

import pytest

from flaredb.testing import Cluster
from tests.tidy.sources import ROOT

pytestmark = pytest.mark.process
_BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
_PRINTED = re.compile(r"^ *print\(.*\)  # (.*)$|^# (b?'.*|\(.*)$", re.MULTILINE)


def blocks(document: Path) -> list[str]:
    return [match[1] for match in _BLOCK.finditer(document.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("document", [ROOT / "README.md", ROOT / "docs" / "client.md"], ids=lambda path: path.name)
def test_the_code_runs(document: Path, shared_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    shared_cluster.heal()
    with shared_cluster.connect() as db:
        db.delete_range(b"", timeout=30)
    monkeypatch.setenv("FLAREDB_URL", shared_cluster.url)
    names: dict[str, object] = {"__name__": document.name}
    found = blocks(document)
    assert found
    with warnings.catch_warnings():
        # The guide opens clients without closing them, to be short.
        warnings.simplefilter("ignore", ResourceWarning)
        for code in found:
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(code, str(document), "exec"), names)
            expected = [one or other for one, other in _PRINTED.findall(code)]
            assert printed.getvalue().splitlines() == expected, code
        for name in ("db", "everything"):
            client = names.pop(name, None)
            if client is not None:
                client.close()  # type: ignore[attr-defined]
        names.clear()


def test_the_fixtures_of_the_guide(flaredb_client: object, flaredb_cluster: Cluster) -> None:
    names: dict[str, object] = {}
    exec(blocks(ROOT / "docs" / "client.md")[-1], names)
    names["test_my_program"](flaredb_client, flaredb_cluster)  # type: ignore[operator]
    flaredb_cluster.heal()
