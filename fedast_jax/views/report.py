"""``fedast report``: finished folders as one page that opens anywhere, without a network."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from ..config import disk
from ..config.errors import OutputError
from ..study.recorded import showing
from .output import check_output, write_whole

NAME = "report.html"


def write_report(paths: Sequence[Path], out: Path | None = None, *, force: bool = False) -> Path:
    """Write one self-contained HTML file of one or several finished folders.

    Args:
        paths: of a run, a comparison, a sweep or a figure each.
        out: the file; None: of one folder ``report.html`` in it, of several
            ``runs/report-TIMESTAMP.html``.
        force: replace a file that is there.
    Returns:
        The file.
    Raises:
        RecordError: a folder is not what a run leaves, or they cannot be shown together.
        OutputError: the file exists or cannot be written, or the drawing library is missing.
    """
    path = out or _place(paths)
    check_output(path, force=force)
    plotly = _drawing_library()
    from .page import make_page
    from .shown import Shown

    with showing(paths):
        page = make_page(Shown.read(paths), plotly)
    return write_whole(path, lambda beside: _write(page, beside))


def _write(page: str, path: Path) -> None:
    disk.write_text(page, path)


def _place(paths: Sequence[Path]) -> Path:
    if len(paths) == 1:
        return paths[0] / NAME
    return Path("runs") / time.strftime("report-%Y%m%d-%H%M%S.html")


def _drawing_library() -> str:
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        raise OutputError(
            "a report draws with plotly, which is not installed: pip install 'fedast-jax[report]'"
        ) from None
    return get_plotlyjs()
