"""The report page in a real browser: on a desk and on a phone, light and dark, hostile names; axe finds nothing."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest
from factorylm_predictor.cli import main

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking".split()
NPM = Path(__file__).parents[3] / ".cache" / "npm"
EVIL = "<img src=x onerror=document.title='owned'>_" + "LONG" * 30
Open = Callable[..., tuple["Page", list[str]]]
SCREENS = pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (360, "dark"), (1280, "light"), (1280, "dark")])


def missing(what: str) -> NoReturn:
    """Skipped without it, failed where everything must be there."""
    if os.environ.get("FACTORYLM_REQUIRE_SERVERS"):
        pytest.fail(f"this run must have everything: {what}")
    pytest.skip(what)


@pytest.fixture(scope="module")
def reports(example, tmp_path_factory) -> Path:
    """Pages of the eight pumps, of one that is too new for a number, and of one with a hostile name."""
    folder = tmp_path_factory.mktemp("reports")
    header, *rows = (example / "today.csv").read_text(encoding="utf-8").splitlines()
    first = rows[0].split(",", 1)[0]
    own = [row.split(",", 1)[1] for row in rows if row.startswith(f"{first},")]
    new = [f"NEW,{row}" for row in own[:3]]
    evil = [f'"{EVIL}",{row}' for row in own]
    (folder / "today.csv").write_text("\n".join([header, *rows, *new, *evil]) + "\n", encoding="utf-8")
    words = ["predict", "--model", str(example / "pumps.model"), "--data", str(folder / "today.csv")]
    assert main([*words, "--out", str(folder / "out.csv"), "--report", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    if CHROMIUM is None:
        missing("no Chromium on this machine; on Debian: apt-get install chromium")
    with pytest.importorskip("playwright.sync_api").sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def opened(browser) -> Iterator[Open]:
    """Opens a page; with it comes everything it asks for or complains about."""
    contexts = []

    def open_page(page_file: Path, **options: object) -> tuple["Page", list[str]]:
        contexts.append(browser.new_context(**options))
        page, seen = contexts[-1].new_page(), []
        page.on("request", lambda request: seen.append(request.url))
        page.on("console", lambda message: seen.append(message.text))
        page.goto(page_file.as_uri())
        seen.remove(page_file.as_uri())
        return page, seen

    yield open_page
    for context in contexts:
        context.close()


@SCREENS
@pytest.mark.parametrize("name", ["R1", "NEW", "evil"])
def test_a_page_fits_the_screen_and_axe_finds_no_violation(opened, reports, name, width, scheme):
    axe = next(NPM.glob("*/node_modules/axe-core/axe.min.js"), None)
    if axe is None:
        missing("axe-core is not there; ./run test fetches it (npm/package.json)")
    page_file = next(reports.glob("*LONG*.html")) if name == "evil" else reports / f"{name}.html"
    # the page's own policy admits no script, axe neither
    screen = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme, "bypass_csp": True}
    page, seen = opened(page_file, **screen)
    page.locator("summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.evaluate(axe.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice']})")
    assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found["violations"]] == []
    assert seen == []


@pytest.mark.parametrize("width", [360, 1280])
def test_no_two_texts_of_a_chart_touch(opened, reports, width):
    touching = """[...document.querySelectorAll('svg[role=img]')].flatMap(svg => {
        const boxes = [...svg.querySelectorAll('text')].map(t => [t.textContent, t.getBoundingClientRect()])
            .filter(([, box]) => box.width);
        return boxes.flatMap(([a, p], i) => boxes.slice(i + 1).filter(([, q]) =>
            p.left < q.right && q.left < p.right && p.top + 2 < q.bottom && q.top + 2 < p.bottom).map(([b]) => [a, b]))
    })"""
    page, _ = opened(reports / "R1.html", viewport={"width": width, "height": 800})
    assert page.locator("svg[role=img]").count() == 3
    assert page.evaluate(touching) == []


def test_the_page_says_what_the_command_says(opened, reports):
    unit, *row = (reports / "out.csv").read_text(encoding="utf-8").splitlines()[1].split(",")
    assert unit == "R1"
    low, high = (f"{float(value):.3g}" for value in row[1:3])
    page, _ = opened(reports / "R1.html")
    refusal, _ = opened(reports / "NEW.html")
    assert page.locator(".big").inner_text().startswith(f"{low} to {high} ")
    assert page.locator("polygon.band").count() == 1
    assert refusal.locator(".big").inner_text() == "No number"
    assert "3 rows since commissioning" in refusal.locator("header").inner_text()


def test_a_hostile_name_stays_text(opened, reports):
    page, seen = opened(next(reports.glob("*LONG*.html")))
    assert page.locator("h1").inner_text() == f"pump {EVIL}"
    assert EVIL in page.title()
    assert page.locator("script, img").count() == 0
    assert seen == []


def test_the_page_prints_to_paper(opened, reports, tmp_path):
    page, _ = opened(reports / "R1.html", color_scheme="dark")
    printed = page.pdf(path=str(tmp_path / "report.pdf"), format="A4")
    page.emulate_media(media="print")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    ink = page.evaluate("getComputedStyle(document.body).color")
    assert printed.startswith(b"%PDF")
    assert (ground, ink) == ("rgb(255, 255, 255)", "rgb(22, 32, 42)"), "dark letters on white paper"
