"""Pages that are made from the code say what the code says."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.tidy.sources import ROOT


def test_pages_are_up_to_date() -> None:
    made = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "gen_docs.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stdout + made.stderr


def test_every_setting_has_a_meaning() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert not re.findall(r"^\| `([\w-]+)`.*\|  \|$", text, re.MULTILINE)
