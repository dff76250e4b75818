"""The console in a real browser: for eyes, for a keyboard alone, without scripts, on a narrow screen, in the dark."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from schemas.ids import format_job_id
from tests.browser.browser_rig import chromium, needs_chromium, page_in, sign_in
from tests.integration.console_rig import TARGET, Console, Filled, console_on, filled_store, state_of
from tests.integration.gateway_rig import make_token
from tests.integration.store_rig import HOME, applied, job_ids, take, wish, write
from worker.core.access import Scope
from worker.store.engine import Database

pytestmark = needs_chromium
AXE = Axe().axe_script
FEW_ROWS = "{exclude: [['tbody tr:nth-child(n+4)'], ['svg *']]}"
PAGES = ("Batches", "Jobs", "Targets", "Quotas", "Agents", "Remotes", "Webhooks", "Approvals", "Drift", "Audit")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("browser")


@pytest.fixture(scope="module")
def place(folder: Path) -> Iterator[tuple[Database, Filled]]:
    with filled_store(folder) as made:
        yield made


@pytest.fixture(scope="module")
def console(place: tuple[Database, Filled], folder: Path) -> Iterator[Console]:
    with console_on(place[0], folder) as served:
        yield served


@pytest.fixture(scope="module")
def filled(place: tuple[Database, Filled]) -> Filled:
    return place[1]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def token(console: Console) -> str:
    return make_token(console.store, Scope.CONSOLE_ACT, name="ann")


@pytest.fixture
def page(browser: Browser, console: Console, token: str) -> Iterator[Page]:
    with page_in(browser) as opened:
        sign_in(opened, console.url, token)
        yield opened


def every_page(filled: Filled) -> tuple[str, ...]:
    """One of each kind."""
    return (
        "/",
        "/batches",
        f"/batches/{filled.done_batch}",
        f"/batches/{filled.open_batch}",
        "/jobs",
        f"/jobs/{format_job_id(filled.failed)}",
        "/targets",
        f"/targets/{TARGET}",
        "/quotas",
        f"/quotas/{filled.quota}",
        "/agents",
        f"/agents/{HOME}/agents/agent-1",
        f"/events/e{filled.event}",
        "/remotes",
        "/remotes/default",
        "/webhooks",
        "/webhooks/ep_crm",
        "/deliveries",
        f"/deliveries/{filled.dead}",
        f"/messages/{filled.message}",
        "/approvals",
        f"/approvals/{filled.approval}",
        "/drifts",
        "/audit",
        "/search?q=nobody",
        "/do/pause-remote?on=default",
    )


def test_each_page_is_led_to_and_names_itself(page: Page) -> None:
    for name in PAGES:
        page.get_by_role("navigation", name="Pages").get_by_role("link", name=name, exact=True).click()
        expect(page.get_by_role("navigation", name="Pages").locator("[aria-current]")).to_have_text(name)
        expect(page.get_by_role("heading", level=1)).to_be_visible()


def test_an_action_is_confirmed_and_stands_in_the_trail(page: Page, console: Console) -> None:
    (job,) = job_ids(console.store, wish("by-hand"))
    page.get_by_label("Find any id or name").fill(format_job_id(job))
    page.get_by_role("button", name="Find").click()
    page.get_by_role("link", name="Cancel the job").click()
    assert state_of(console.store, job) == "pending", "nothing is done before it is confirmed"
    page.get_by_role("button", name="Cancel the job").click()
    expect(page.get_by_role("status")).to_have_text("It is cancelled.")
    assert state_of(console.store, job) == "cancelled"
    page.get_by_role("link", name="Audit trail").click()
    expect(page.locator("tbody tr").first).to_contain_text(f"job {format_job_id(job)}")


def test_progress_comes_by_itself_until_the_batch_has_ended(page: Page, console: Console) -> None:
    ids = job_ids(console.store, *(wish(f"live-{number}") for number in range(4)))
    page.goto(f"{console.url}/batches/{ids[0] >> 24}")
    expect(page.get_by_role("progressbar")).to_have_attribute("value", "0")
    done = [applied(one) for one in take(console.store, *ids)]
    write(console.store, *done[:2])
    expect(page.get_by_role("progressbar")).to_have_attribute("value", "50")
    write(console.store, *done[2:])
    expect(page.get_by_role("status")).to_contain_text("completed at")
    expect(page.get_by_role("button", name="Pause updates")).to_have_count(0)


def test_updates_can_be_paused(page: Page, console: Console) -> None:
    ids = job_ids(console.store, wish("paused-1"), wish("paused-2"))
    page.goto(f"{console.url}/batches/{ids[0] >> 24}")
    page.get_by_role("button", name="Pause updates").click()
    (first, second) = take(console.store, *ids)
    write(console.store, applied(first))
    page.wait_for_timeout(2_000)
    expect(page.get_by_role("progressbar")).to_have_attribute("value", "0")
    page.get_by_role("button", name="Resume updates").click()
    expect(page.get_by_role("progressbar")).to_have_attribute("value", "50")
    write(console.store, applied(second))


def test_a_keyboard_is_enough(browser: Browser, console: Console, token: str) -> None:
    (job,) = job_ids(console.store, wish("by-keys"))
    with page_in(browser) as page:
        page.goto(f"{console.url}/jobs/{format_job_id(job)}")
        page.keyboard.type(token)
        page.keyboard.press("Enter")
        page.wait_for_url(f"{console.url}/jobs/{format_job_id(job)}")
        page.keyboard.press("Tab")
        expect(page.locator(":focus")).to_have_text("Skip to the content")
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        expect(page.locator(":focus")).to_have_text("Cancel the job")
        assert page.locator(":focus").evaluate("one => getComputedStyle(one).outlineStyle") == "solid"
        page.keyboard.press("Enter")
        page.wait_for_url(f"{console.url}/do/cancel-job?on={format_job_id(job)}")
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.locator(":focus").inner_text() == "Cancel the job":
                break
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_have_text("It is cancelled.")


def test_without_scripts_all_works(browser: Browser, console: Console, token: str, filled: Filled) -> None:
    with page_in(browser, scripts=False) as page:
        sign_in(page, console.url, token)
        page.goto(f"{console.url}/do/approve?on={filled.approval}")
        page.get_by_role("button", name="Approve").click()
        expect(page.get_by_role("status")).to_contain_text("Approved.")
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_every_page_is_for_everybody(browser: Browser, console: Console, token: str, filled: Filled) -> None:
    """As axe judges it; in the dark once more what colours may break."""
    told = {}
    with page_in(browser) as page:
        page.goto(f"{console.url}/sign-in")
        told["/sign-in"] = _found(page)
        sign_in(page, console.url, token)
        for path in every_page(filled):
            page.goto(console.url + path)
            told[path] = _found(page)
    assert {path: found for path, found in told.items() if found} == {}


def test_no_page_is_wider_than_a_narrow_screen(browser: Browser, console: Console, token: str, filled: Filled) -> None:
    wide = {}
    with page_in(browser, width=390) as page:
        sign_in(page, console.url, token)
        for path in every_page(filled):
            page.goto(console.url + path)
            wide[path] = page.evaluate("document.documentElement.scrollWidth")
    assert {path: width for path, width in wide.items() if width > 390} == {}


def _found(page: Page) -> list[str]:
    """Of long tables the first rows: the others are made alike."""
    page.evaluate(AXE)
    light = page.evaluate(f"axe.run({FEW_ROWS}, {{resultTypes: ['violations']}})")
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate(f"axe.run({FEW_ROWS}, {{runOnly: ['color-contrast'], resultTypes: ['violations']}})")
    page.emulate_media(color_scheme="light")
    return [
        f"{one['id']}: {node['html'][:160]}: {node['failureSummary']}"
        for results in (light, dark)
        for one in results["violations"]
        for node in one["nodes"][:3]
    ]
