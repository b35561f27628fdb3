"""The browser of the other tests sees what they rely on: errors, requests, sizes and schemes."""

from pathlib import Path

from tests.browser.chromium import Chromium

PAGE = """<!doctype html><title>trial</title><style>@media (prefers-color-scheme: dark) { p { width: 7px } }</style>
<p>text</p><img src="http://elsewhere.invalid/picture.png"><script>undefined.call()</script>"""


def test_it_tells_of_errors_and_of_requests_that_leave(browser: Chromium, tmp_path: Path) -> None:
    (tmp_path / "bad.html").write_text(PAGE)
    (tmp_path / "good.html").write_text("<!doctype html><title>good</title><p>text</p>")
    browser.get((tmp_path / "bad.html").as_uri())
    assert any("TypeError" in message for message in browser.console_errors())
    assert browser.requests_that_leave() == ["http://elsewhere.invalid/picture.png"]
    browser.get((tmp_path / "good.html").as_uri())
    assert browser.console_errors() == []
    assert browser.requests() == [(tmp_path / "good.html").as_uri()]


def test_it_is_as_narrow_as_a_phone_and_dark(browser: Chromium, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(PAGE)
    browser.resize(390, 844)
    browser.emulate(scheme="dark")
    browser.get((tmp_path / "page.html").as_uri())
    assert browser.run("return [innerWidth, innerHeight]") == [390, 844]
    assert browser.run("return getComputedStyle(document.querySelector('p')).width") == "7px"
    browser.emulate(scheme="light")
    assert browser.run("return getComputedStyle(document.querySelector('p')).width") != "7px"
