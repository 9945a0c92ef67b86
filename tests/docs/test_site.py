"""The site builds, with every page in its menu and every link leading somewhere (strict)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.tidy.sources import ROOT


def test_the_site_builds(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "build_site.py"), str(tmp_path / "site")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for page in ("index.html", "docs/client/index.html", "docs/configuration/index.html"):
        assert "FlareDB" in (tmp_path / "site" / page).read_text(encoding="utf-8")


def test_every_page_of_the_guide_is_in_the_menu() -> None:
    menu = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = [path.name for path in (ROOT / "docs").glob("*.md")]
    assert not [name for name in pages if f"docs/{name}" not in menu]
