"""The page in a real browser: policy, form, layout in light and dark, on phone and desktop."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.browser import Browser, browsing, program
from tests.app.conftest import RELEASE
from tests.app.service_process import Service, running

CONTRAST = """(() => {
  const parts = colour => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const ground = e => { for (; e; e = e.parentElement) { const c = parts(getComputedStyle(e).backgroundColor);
    if (c.length === 3 || c[3] === 1) return c; } return [255, 255, 255]; };
  return [...document.querySelectorAll('dt, dd, label, button, .message, .by strong, time, main a, footer a, h2:not(#what)')].map(e => {
    const [a, b] = [light(parts(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
    return [e.tagName + '.' + e.className, (a + .05) / (b + .05)]; }).filter(([, ratio]) => ratio < 4.5);
})()"""


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    chromium = program()
    if chromium is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    with browsing(chromium, tmp_path / "profile") as opened:
        yield opened


@pytest.fixture
def service(tmp_path: Path, database: str) -> Iterator[Service]:
    with running(tmp_path, DATABASE_URL=database, **RELEASE) as process:
        yield process


def sign(browser: Browser, name: str, message: str) -> None:
    browser.call("Runtime.evaluate", expression="document.getElementById('name').focus()")
    browser.call("Input.insertText", text=name)
    browser.call("Runtime.evaluate", expression="document.getElementById('message').focus()")
    browser.call("Input.insertText", text=message)
    browser.call(
        "Runtime.evaluate",
        expression="setTimeout(() => document.querySelector('form button').click())",
    )


def test_visitor_signs_the_guestbook(browser: Browser, service: Service, tmp_path: Path) -> None:
    browser.open(f"http://127.0.0.1:{service.port}/")
    assert browser.evaluate("document.title") == "1.2.3 in test"
    assert RELEASE["APP_IMAGE_DIGEST"] in browser.evaluate("document.body.innerText")
    sign(browser, "Ada <b>", "A message\nof two lines")
    browser.wait_for("location.hash.startsWith('#entry-')")
    browser.wait_for("document.querySelector('.entries .message') !== null")
    assert (
        browser.evaluate("document.querySelector('.entries .message').innerText")
        == "A message\nof two lines"
    )
    assert browser.evaluate("document.querySelector('.entries strong').innerText") == "Ada <b>"
    # Nothing was blocked by the policy or failed to load.
    assert browser.problems == []
    assert browser.picture(tmp_path / "page.png").stat().st_size > 10_000


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1200])
def test_page_is_readable_at_any_width_in_light_and_dark(
    browser: Browser, service: Service, width: int, scheme: str
) -> None:
    service.post_json("/api/entries", {"name": "W" * 80, "message": "M" * 1000})
    browser.appear(width, 900, scheme)
    browser.open(f"http://127.0.0.1:{service.port}/?before=1000")
    assert (
        browser.evaluate("getComputedStyle(document.querySelector('.card')).borderRadius") != "0px"
    )
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    # WCAG 2.2 AA: 4.5 to 1.
    assert browser.evaluate(CONTRAST) == []


def test_fields_have_labels_and_pages_one_heading(browser: Browser, service: Service) -> None:
    browser.open(f"http://127.0.0.1:{service.port}/")
    assert browser.evaluate("document.documentElement.lang") == "en"
    assert browser.evaluate("document.querySelectorAll('h1').length") == 1
    fields = "document.querySelectorAll('input, textarea')"
    assert browser.evaluate(f"{fields}.length") == 2
    assert browser.evaluate(f"[...{fields}].every(field => field.labels.length === 1)") is True


def test_form_of_another_site_is_refused(
    browser: Browser, service: Service, tmp_path: Path
) -> None:
    other = tmp_path / "other.html"
    other.write_text(
        f'<form method="post" action="http://127.0.0.1:{service.port}/"><input name="name" '
        'value="x"><input name="message" value="forged"></form>'
    )
    browser.open(other.as_uri())
    browser.evaluate("setTimeout(() => document.querySelector('form').submit())")
    browser.wait_for("document.body.innerText.includes('other sites')")
    assert service.get("/api/entries").json()["entries"] == []
