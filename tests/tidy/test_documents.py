"""What the documents point to exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.tidy.sources import ROOT

_FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^()\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)


def _documents() -> list[Path]:
    """Every Markdown file that people wrote for the project."""
    return sorted(
        [*ROOT.glob("*.md"), *(file for folder in ("docs", "specs", "bench") for file in (ROOT / folder).rglob("*.md"))]
    )


def _anchors(document: Path) -> set[str]:
    """The anchors that GitHub makes of a document's headings."""
    text = _FENCE.sub("", document.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in _HEADING.findall(text)}


@pytest.mark.parametrize("document", _documents(), ids=lambda file: str(file.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    text = _FENCE.sub("", document.read_text(encoding="utf-8"))
    dead = []
    for link in _LINK.findall(text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in _anchors(target)):
            dead.append(link)
    assert not dead


@pytest.mark.parametrize("document", _documents(), ids=lambda file: str(file.relative_to(ROOT)))
def test_make_targets_exist(document: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = document.read_text(encoding="utf-8")
    code = [match[0] for match in _FENCE.finditer(text)] + re.findall(r"`[^`\n]+`", text)
    named = {target for part in code for target in re.findall(r"^[`$ ]*make ([a-z]+)", part, re.MULTILINE)}
    assert named <= targets


@pytest.mark.parametrize("document", _documents(), ids=lambda file: str(file.relative_to(ROOT)))
def test_files_named_in_code_quotes_exist(document: Path) -> None:
    """`store/ready.py` and the like: paths below the package or the repository."""
    text = _FENCE.sub("", document.read_text(encoding="utf-8"))
    named = set(re.findall(r"`([a-z_][\w./-]*/[\w.-]+\.(?:py|proto|md|sh|toml|txt))`", text))
    roots = (ROOT, ROOT / "src" / "flaredb", document.parent)
    assert not [path for path in sorted(named) if not any((root / path).exists() for root in roots)]


@pytest.mark.parametrize("document", _documents(), ids=lambda file: str(file.relative_to(ROOT)))
def test_no_merge_is_left_unfinished(document: Path) -> None:
    assert not re.search(r"^(<{7}|>{7})( |$)", document.read_text(encoding="utf-8"), re.MULTILINE)
