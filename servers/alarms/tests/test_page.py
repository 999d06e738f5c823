"""The report page in a real browser: wide and narrow, light and dark, on paper, and without any network."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from factorylm_alarms.command import main

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FLAGS = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking".split()
SECTIONS = ["quality", "performance", "diagnosis", "floods", "priorities", "changes", "suggestions", "definitions"]


@pytest.fixture(scope="module")
def browser(needed, chromium) -> Iterator["Browser"]:
    with needed("playwright.sync_api").sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def page_file(tmp_path, write_log) -> Path:
    events = []
    for flood in range(6):
        for number in range(15):
            at = flood * 9000 + number * 20
            events += [(at, f"F{flood % 2}A{number}", "ACT"), (at + 300, f"F{flood % 2}A{number}", "RTN")]
    for number in range(50):
        events += [(30_000 + number * 9, "CHATTER", "ACT"), (30_004 + number * 9, "CHATTER", "RTN")]
    page = tmp_path / "report.html"
    assert main(["report", str(write_log(sorted(events))), "--html", str(page)]) == 0
    return page


def opened(browser: "Browser", page_file: Path, **options: object) -> tuple["Page", list[str]]:
    """The page, and everything it asked for or complained about."""
    context = browser.new_context(**options)
    page, seen = context.new_page(), []
    page.on("request", lambda request: seen.append(request.url))
    page.on("console", lambda message: seen.append(message.text))
    page.on("pageerror", lambda error: seen.append(str(error)))
    page.goto(page_file.as_uri())
    return page, [entry for entry in seen if entry != page_file.as_uri()]


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_every_screen_and_asks_for_nothing(width, scheme, browser, page_file):
    size = {"width": width, "height": 800}
    page, seen = opened(browser, page_file, viewport=size, color_scheme=scheme)
    assert seen == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("[...document.querySelectorAll('section')].map(s => s.id)") == SECTIONS
    low, high = sorted(page.evaluate("[...'bc'].map((_, i) => contrast(i))".replace("contrast(i)", CONTRAST)))
    assert (high + 0.05) / (low + 0.05) >= 7, "text and ground are too alike"
    page.context.close()


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation(width, scheme, browser, page_file, axe):
    # the page's own policy admits no script, axe neither
    screen = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme, "bypass_csp": True}
    page, _ = opened(browser, page_file, **screen)
    for details in page.locator("details").all():
        details.locator("summary").click()
    page.evaluate(axe)
    found = page.evaluate("axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice']})")
    assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found["violations"]] == []
    page.context.close()


CONTRAST = (
    "(rgb => { const v = rgb.map(c => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);"
    "return 0.2126 * v[0] + 0.7152 * v[1] + 0.0722 * v[2] })"
    "(getComputedStyle(document.body)[i ? 'color' : 'backgroundColor'].match(/[0-9]+/g).slice(0, 3).map(Number))"
)


def test_every_picture_shows_something_and_has_its_numbers(browser, page_file):
    page, _ = opened(browser, page_file, viewport={"width": 1280, "height": 900})
    assert page.locator("svg").count() >= 4
    for box in page.locator("svg, .heat i").evaluate_all("all => all.map(e => e.getBoundingClientRect().height)"):
        assert box >= 10
    assert page.locator("#performance svg rect").count() >= 6  # six floods are shaded
    assert page.locator("#floods .square rect").count() > 6
    details = page.locator("details")
    for number in range(details.count()):
        details.nth(number).locator("summary").click()
        assert details.nth(number).locator("table").is_visible()
    assert page.locator("#diagnosis .bar").first.inner_text().startswith("CHATTER.HI")
    page.context.close()


def test_the_links_lead_to_their_sections(browser, page_file):
    page, _ = opened(browser, page_file, viewport={"width": 390, "height": 800})
    for place, section in enumerate(SECTIONS):
        page.locator("nav a").nth(place).click()
        assert page.url.endswith(f"#{section}")
    page.context.close()


def test_the_page_prints_to_pdf(browser, page_file, tmp_path):
    page, _ = opened(browser, page_file)
    printed = page.pdf(path=str(tmp_path / "report.pdf"), format="A4")
    assert printed.startswith(b"%PDF")
    assert len(printed) > 20_000
    page.context.close()


def test_no_script_can_run_in_the_page(browser, tmp_path):
    log = tmp_path / "log.csv"
    log.write_text(
        "time,source,event\n2025-03-01 08:00:00,\"<img src=x onerror=document.title='owned'>\",ACT\n"
        "2025-03-01 09:00:00,<script>document.title='owned'</script>,ACT\n"
    )
    page_file = tmp_path / "r.html"
    assert main(["report", str(log), "--html", str(page_file)]) == 0
    page, seen = opened(browser, page_file)
    assert (page.title(), seen) == ("Alarm report", [])
    assert page.locator("script, img").count() == 0
    page.context.close()
