"""Pages as a browser shows them: no error, curves, hover, small and dark, by keyboard, legible."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser, find_browser
from made_folders import make_folder

from fedast_jax.views.report import write_report

PROGRAM = find_browser()
pytestmark = pytest.mark.skipif(
    PROGRAM is None, reason="no chromium here; install it: apt-get install chromium"
)
SWEPT = {"sweep": {"num_clients": [20, 30, 40, 50], "tasks.digits.buffer_size": [1, 2, 3]}}

CONTRASTS = """(() => {
  const rgba = text => text.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map(one => one / 255).map(
    one => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4
  ).reduce((sum, one, at) => sum + one * [0.2126, 0.7152, 0.0722][at], 0);
  const ground = element => {
    for (let one = element; one; one = one.parentElement) {
      const found = rgba(getComputedStyle(one).backgroundColor);
      if (found.length === 3 || found[3] > 0.99) return found;
    }
    return rgba(getComputedStyle(document.body).backgroundColor);
  };
  const texts = [...document.querySelectorAll("body *")].filter(one =>
    !["SCRIPT", "STYLE"].includes(one.tagName) && one.getClientRects().length &&
    [...one.childNodes].some(child => child.nodeType === 3 && child.data.trim()));
  return texts.map(one => {
    const style = getComputedStyle(one), svg = one instanceof SVGElement;
    const [low, high] = [luminance(rgba(svg ? style.fill : style.color)), luminance(ground(one))]
      .sort((a, b) => a - b);
    return [(high + 0.05) / (low + 0.05), one.textContent.trim().slice(0, 40)];
  }).sort((a, b) => a[0] - b[0]);
})()"""

CONTROLS = 'document.querySelectorAll("a, button, input, select, summary, [tabindex]")'
FOCUS = f"""(() => {{
  const one = document.activeElement, style = getComputedStyle(one);
  return [[...{CONTROLS}].indexOf(one),
    style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth)];
}})()"""
TOO_WIDE = """[...document.querySelectorAll("body *")].filter(one =>
  !one.closest(".scroll, pre, svg") && one.getClientRects().length &&
  one.getBoundingClientRect().right > innerWidth + 1).map(one => one.outerHTML.slice(0, 80))"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Browser]:
    assert PROGRAM is not None
    with Browser(PROGRAM, tmp_path_factory.mktemp("profile")) as window:
        yield window


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("made")
    compared = {"compare": ["fedast", "sync_st"]}
    folder = make_folder(place / "a <b>&{x} run", compared, with_requests=True)
    return write_report([folder], place / "page.html")


def lines(browser: Browser, part: str) -> int:
    return browser.evaluate(f"document.querySelectorAll('#{part} .scatterlayer .trace').length")


def test_the_page_draws_and_asks_for_nothing(browser, page):
    browser.requests.clear()
    browser.open(page)
    for part in ("accuracy", "allocation", "progress", "staleness", "duration", "wait", "lorenz"):
        assert lines(browser, part) >= 2, part
    assert browser.requests == [page.as_uri()]
    assert browser.problems == []


def test_hovering_says_what_is_there(browser, page):
    browser.open(page)
    spot = browser.evaluate("""(() => {
      const plot = document.querySelector("#accuracy .plot");
      plot.scrollIntoView({block: "center"});
      const dot = plot.querySelector(".points path").getBoundingClientRect();
      return [dot.x + dot.width / 2, dot.y + dot.height / 2];
    })()""")
    browser.move(1, 1)
    browser.move(*spot)
    browser.wait_for("document.querySelector('#accuracy .hovertext')")
    said = browser.evaluate("document.querySelector('#accuracy .hovertext').textContent")
    assert "target met at time" in said
    assert "FedAST, seed" in said


def test_what_is_picked_is_drawn(browser, page):
    browser.open(page)
    before = lines(browser, "accuracy")
    browser.evaluate("document.querySelector('input[name=\"dimension-0\"]').click()")
    browser.wait_for("document.documentElement.dataset.drawn === 'yes'")
    assert lines(browser, "accuracy") == before / 2
    browser.evaluate("document.querySelector('#single').click()")
    browser.wait_for("document.documentElement.dataset.drawn === 'yes'")
    assert lines(browser, "accuracy") == before / 2 - 6  # three seeds of two tasks
    browser.evaluate("document.querySelector('input[name=\"task\"]').click()")
    browser.wait_for("document.documentElement.dataset.drawn === 'yes'")
    assert browser.evaluate("document.querySelectorAll('#accuracy figure').length") == 1
    assert browser.problems == []


@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_small_and_dark_pages_can_be_read(browser, page, width, dark):
    browser.open(page, width, dark=dark)
    browser.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate(TOO_WIDE) == []
    assert browser.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") is dark
    contrasts = browser.evaluate(CONTRASTS)
    assert len(contrasts) > 200
    assert contrasts[0][0] >= 4.5, contrasts[:5]


def test_everything_is_within_reach_of_the_keyboard(browser, page):
    browser.open(page)
    wanted = browser.evaluate(f"[...{CONTROLS}].filter(one => one.checkVisibility()).length")
    assert wanted > 30
    reached = set()
    for _ in range(wanted):
        browser.press("Tab")
        place, outline = browser.evaluate(FOCUS)
        assert place >= 0
        assert outline >= 2
        reached.add(place)
    assert len(reached) == wanted
    browser.evaluate("document.querySelector('#mean').focus()")
    before = lines(browser, "accuracy")
    browser.press(" ")
    browser.wait_for("document.documentElement.dataset.drawn === 'yes'")
    assert lines(browser, "accuracy") == before - 4  # two means in two panels


def test_a_large_sweep_opens_soon_and_is_not_large(browser, tmp_path):
    """12 settings, 20 seeds, two tasks, 250 tests each."""
    folder = make_folder(tmp_path / "sweep", SWEPT, num_seeds=20, num_tests=250)
    page = write_report([folder], tmp_path / "page.html")
    assert page.stat().st_size < 12 * 10**6
    assert any(seconds_to_open(browser, page) < 3 for _ in range(3))  # others work here too
    assert lines(browser, "accuracy") == 48  # a mean and the dots of each setting and task
    assert browser.problems == []


def seconds_to_open(browser: Browser, page: Path) -> float:
    start = time.perf_counter()
    browser.open(page)
    return time.perf_counter() - start
