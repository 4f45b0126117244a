"""A report's page that is written anew while runs go on; whoever has it open sees it load itself again.

`page` makes it; nothing is served, so it works on any disk that both machines see.
"""

import time
from collections.abc import Callable
from pathlib import Path

from sslrun import console
from sslrun.files import write_text
from sslrun.report import page
from sslrun.report.document import Document

SECONDS = 15
_QUIET = 8
"""So many looks at which nothing runs, though cells wait: nobody is at work on them."""


def keep_live(
    path: Path,
    results: Path,
    look: Callable[[], Document],
    *,
    wait: Callable[[], None] = lambda: time.sleep(SECONDS),
) -> None:
    """Write the page of what `look` gives until nothing runs any more; the last one does not load itself again."""
    quiet = 0
    while True:
        now = page.progress(results)
        quiet = 0 if now.running else quiet + 1
        over = not now.running and (now.waiting == 0 or quiet >= _QUIET)
        html = page.as_html(look(), now, None if over else SECONDS)
        write_text(path, console.visible(html))
        if over:
            return
        wait()
