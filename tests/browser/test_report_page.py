"""The report as a person meets it: wide and narrow, light and dark, by mouse and by keyboard; nothing leaves."""

from pathlib import Path

import pytest

from questions_gen.report.page import page
from tests.browser.chromium import Chromium
from tests.report.sample_evaluations import HOSTILE
from tests.report.test_page import sample_results

SIZES = {"phone": (390, 844), "desk": (1280, 900)}

SHOWN = """return [...document.querySelectorAll(arguments[0])].filter((e) => e.getClientRects().length).length"""
TOO_WIDE = """return [...document.querySelectorAll("main *")]
  .filter((e) => !e.closest(".scroll, .text, details, math, svg"))
  .filter((e) => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .map((e) => e.outerHTML.slice(0, 80))"""
CONTRAST = """
const numbers = (colour) => colour.match(/[\\d.]+/g).slice(0, 3).map((v) => v / 255);
const light = (colour) => numbers(colour)
  .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const behind = (e) => {
  const colour = getComputedStyle(e).backgroundColor;
  return colour === "rgba(0, 0, 0, 0)" ? behind(e.parentElement) : colour;
};
return [...document.querySelectorAll("p, b, h1, h2, h3, small, th, summary, .reasons span, dd, a, code, text")]
  .filter((e) => e.getClientRects().length)
  .map((e) => {
    const style = getComputedStyle(e);
    const [a, b] = [light(e.namespaceURI.endsWith("svg") ? style.fill : style.color), light(behind(e))].sort();
    return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.outerHTML.slice(0, 80)];
  })
  .filter(([ratio]) => ratio < 4.5);
"""
"""Text whose contrast is below 4.5:1, the least of WCAG 2.2, 1.4.3 (level AA)."""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("report") / "index.html"
    path.write_text(page(sample_results()), encoding="utf-8")  # more than one page of prompts
    return path.as_uri()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_whole_at_every_size_and_in_every_scheme(browser: Chromium, url: str, size: str, scheme: str) -> None:
    browser.resize(*SIZES[size])
    browser.emulate(scheme=scheme)
    browser.get(url)
    assert browser.run(SHOWN, "#models > .scroll tbody tr") == 9
    assert browser.run(SHOWN, "#plots svg") == 6
    assert browser.run(SHOWN, "article") == 20
    assert browser.run(SHOWN, "#problems math") > 200
    assert browser.run("return document.querySelector('#problems math').getBoundingClientRect().height") > 5
    assert browser.run(TOO_WIDE) == []
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
    assert browser.run(CONTRAST) == []
    assert browser.console_errors() == []
    assert browser.requests() == [url]


def test_models_stand_side_by_side_on_a_desk_and_below_each_other_on_a_phone(browser: Chromium, url: str) -> None:
    browser.get(url)
    tops = "return new Set([...document.querySelector('article').querySelectorAll('h4')].map((e) => e.offsetTop)).size"
    browser.resize(*SIZES["desk"])
    assert browser.run(tops) == 1
    browser.resize(*SIZES["phone"])
    assert browser.run(tops) == 4


def test_nothing_of_a_model_runs_and_all_of_it_is_seen(browser: Chromium, url: str) -> None:
    browser.get(url)
    assert browser.run("return document.body.dataset.ran ?? null") is None
    assert browser.run("return document.title") == "Questions-Gen report: smollm2-135m"
    assert browser.run("return document.scripts.length") == 1
    written = "[data-model='distill'] pre"
    assert browser.run(f'return document.querySelector("{written}").textContent') == HOSTILE
    drawn = browser.run("return document.querySelector('[data-model=distill] .text').innerText")
    for text in ("</title></style></script><script>", "<img src=x onerror", r"$\href{javascript:", r"$\frac{1}{$"):
        assert text in drawn
    assert browser.run("return document.querySelectorAll('#problems a, #problems img').length") == 0


def test_a_script_that_came_in_would_be_refused(browser: Chromium, url: str, tmp_path: Path) -> None:
    """The second line of defence, tried by breaking the first."""
    text = Path(url.removeprefix("file://")).read_text()
    broken = tmp_path / "broken.html"
    broken.write_text(
        text.replace("<main>", "<main><script>document.body.dataset.ran = 1</script><p style='color:red'>")
    )
    browser.get(broken.as_uri())
    assert browser.run("return document.body.dataset.ran ?? null") is None
    assert sum("Content Security Policy" in message for message in browser.console_errors()) == 2


def choose(browser: Chromium, name: str, value: str) -> None:
    from selenium.webdriver.support.select import Select

    Select(browser.driver.find_element("name", name)).select_by_value(value)


def count(browser: Chromium) -> str:
    return browser.driver.find_element("id", "count").text


def test_filters(browser: Chromium, url: str) -> None:
    browser.resize(*SIZES["desk"])
    browser.get(url)
    assert count(browser) == "Prompts 1 to 20 of 36"
    choose(browser, "test", "variation")
    assert count(browser) == "Prompts 1 to 9 of 9"
    assert browser.run(SHOWN, "article:not([data-test=variation])") == 0
    choose(browser, "cell", "algebra")
    assert count(browser).startswith("No problem is like that")
    assert browser.run(SHOWN, "article") == 0
    choose(browser, "test", "")
    assert count(browser) == "Prompts 1 to 9 of 9"
    choose(browser, "verdict", "refused")
    assert browser.run(SHOWN, "[data-verdict=passed]") == 0
    assert browser.run(SHOWN, "[data-verdict=refused]") > 0
    browser.driver.find_element("css selector", "input[value=base]").click()
    assert browser.run(SHOWN, "[data-model=base]") == 0
    assert browser.run(SHOWN, "[data-model=sft]") == 4  # every other prompt has a refused one
    assert browser.console_errors() == []


def test_the_keyboard_is_enough(browser: Chromium, url: str) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    def press(*keys: str) -> None:
        ActionChains(browser.driver).send_keys(*keys).perform()

    browser.get(url)
    press(Keys.TAB)
    assert browser.run("return document.activeElement.textContent") == "To the problems"
    assert browser.run("return document.activeElement.getBoundingClientRect().left") >= 0
    press(Keys.ENTER, Keys.TAB, Keys.SPACE)
    assert browser.run(SHOWN, "[data-model=base]") == 0
    browser.run("document.querySelector('#pager button[value=\"1\"]').focus()")
    press(Keys.ENTER)
    assert count(browser) == "Prompts 21 to 36 of 36"
    browser.run("document.querySelector('article:not([hidden]) summary').focus()")
    press(Keys.ENTER)
    assert browser.run("return document.querySelector('article:not([hidden]) details').open")


def test_on_paper_there_are_problems_and_no_controls(browser: Chromium, url: str) -> None:
    browser.get(url)
    browser.emulate(scheme="dark", media="print")
    try:
        assert browser.run(SHOWN, "#filters, #pager, header nav") == 0
        assert browser.run(SHOWN, "article") == 20
        assert browser.run("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    finally:
        browser.emulate()
