"""Builds the documentation as a site: python scripts/build_site.py [DIRECTORY]; by default into build/site.

Pages keep their places, so links between them work as they are. Links to what is no page (source files, folders) become
plain text: a site does not carry the code.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "build" / "pages"
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^()\s]+)\)")


def documents() -> Iterator[Path]:
    """Every Markdown file that is a page."""
    yield from ROOT.glob("*.md")
    for folder in ("docs", "specs", "bench", "interop"):
        yield from (ROOT / folder).rglob("*.md")


def page_of(document: Path) -> str:
    """A document's text with links to what is no page as plain text."""

    def link(match: re.Match[str]) -> str:
        image, text, target = match.groups()
        path = (document.parent / target.partition("#")[0]).resolve()
        stays = re.match(r"[a-z]+:|#", target) or path.suffix in (".md", ".svg", ".png")
        return match[0] if stays or image else text

    return _LINK.sub(link, document.read_text(encoding="utf-8"))


def main() -> int:
    """Copy the pages and their pictures, then let MkDocs make the site; its exit status."""
    target = sys.argv[1] if len(sys.argv) > 1 else str(ROOT / "build" / "site")
    shutil.rmtree(PAGES, ignore_errors=True)
    for document in documents():
        page = PAGES / document.relative_to(ROOT)
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(page_of(document), encoding="utf-8")
    for folder in ("docs", "bench"):
        for extra in (file for file in (ROOT / folder).rglob("*") if file.suffix in (".svg", ".png", ".css")):
            copy = PAGES / extra.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(extra, copy)
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--clean", "--config-file", str(ROOT / "mkdocs.yml")]
    return subprocess.run([*command, "--site-dir", target], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
