"""The pictures of the documentation, taken of the console on the store of its tests.

python -m tests.browser.screenshots docs/images
"""

import sys
import tempfile
from pathlib import Path

from tests.browser.browser_rig import CHROMIUM, NO_CHROMIUM, chromium, page_in, sign_in
from tests.integration.console_rig import Filled, console_on, filled_store
from tests.integration.gateway_rig import make_token
from worker.core.access import Scope

WIDTH, HEIGHT = 1_180, 760


def main() -> None:
    if CHROMIUM is None:
        sys.exit(NO_CHROMIUM)
    into = Path(sys.argv[1])
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            filled_store(folder, tidy=True) as (store, filled),
            console_on(store, folder, rate_limit="24/minute") as console,
            chromium() as browser,
        ):
            token = make_token(store, Scope.CONSOLE_ACT, name="ann")
            for dark in (False, True):
                with page_in(browser, dark=dark, width=WIDTH) as page:
                    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
                    sign_in(page, console.url, token)
                    for title, path in pictures(filled, dark=dark).items():
                        page.goto(console.url + path)
                        page.screenshot(path=into / f"console-{title}.png")


def pictures(filled: Filled, *, dark: bool) -> dict[str, str]:
    if dark:
        return {"quota": f"/quotas/{filled.quota}"}
    return {
        "overview": "/",
        "batch": f"/batches/{filled.open_batch}",
        "confirm": f"/do/cancel-batch?on={filled.open_batch}",
    }


if __name__ == "__main__":
    main()
