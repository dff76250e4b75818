"""The documentation as a site: the pages as they lie in the repository, so that each link works here and there."""

import re
from pathlib import Path
from typing import Any

project = "coachsync"
author = "The coachsync authors"
copyright = "the coachsync authors, Apache 2.0"  # noqa: A001 - Sphinx's name for it

root_doc = "docs/site/index"
include_patterns = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/**/*.md", "docs/*.md"]
exclude_patterns = ["build", ".venv*"]
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}

myst_heading_anchors = 4
myst_enable_extensions = ["strikethrough"]
suppress_warnings = ["misc.highlighting_failure"]  # Pygments reads a console by the line: a quote over several is right

html_theme = "furo"
html_title = "coachsync"
html_show_sphinx = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}


_LINK = re.compile(r"\[([^\]]*)\]\(([^)\s:#]+)\)")


def _folders_as_text(app: Any, page: str, source: list[str]) -> None:
    """A link to a folder of the repository leads nowhere on a site; its words stay."""
    here = Path(app.env.doc2path(page)).parent
    source[0] = _LINK.sub(lambda link: link[1] if (here / link[2]).is_dir() else link[0], source[0])


def _begin_at_the_index(app: Any, _error: object) -> None:
    page = '<!doctype html><title>coachsync</title><meta http-equiv="refresh" content="0; url=docs/site/">'
    Path(app.outdir, "index.html").write_text(f'{page}<a href="docs/site/">coachsync</a>\n')


def setup(app: Any) -> None:
    app.connect("source-read", _folders_as_text)
    app.connect("build-finished", _begin_at_the_index)
