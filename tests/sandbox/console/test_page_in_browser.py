"""The console's page in a browser: views at two widths in light and dark, changes and safety."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.browser import Browser, browsing, program
from tests.app.guestbook.test_page_in_browser import CONTRAST
from tests.sandbox.console.fake_source import EXECUTION, LONG, FakeSource

VIEWS = {
    "": "Stacks of platform",
    "stacks/dev/resources": "network",
    "stacks/dev/timeline": "Critical path",
    "stacks/dev/pipeline": "waiting for approval",
    "stacks/dev/outputs": "sandbox output dev kubeconfig --show-secrets",
    "stacks/dev/history": "4 created",
    "images": "platform-dev/image",
}
TEXT = "document.getElementById('view').innerText"
# Of every element with text.
READABLE = CONTRAST.replace(
    "'dt, dd, label, button, .message, .by strong, time, main a, footer a, h2:not(#what)'",
    "'main *:not(:disabled), nav a'",
).replace(
    ")].map(e => {",
    ")].filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())).map(e => {",
)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    chromium = program()
    if chromium is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    with browsing(chromium, tmp_path / "profile") as opened:
        yield opened


def show(browser: Browser, url: str, view: str) -> None:
    """Open a view in a new document."""
    browser.open("data:text/html,<title>other</title>")
    browser.open(f"{url}#/{view}")
    browser.wait_for(f"document.querySelector('main h1') !== null && {TEXT}.length > 20")


def click(browser: Browser, text: str) -> None:
    browser.evaluate(
        f"[...document.querySelectorAll('button')].find(b => b.innerText === {text!r}).click()"
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_every_view_fits_and_is_readable(
    browser: Browser, url: str, width: int, scheme: str
) -> None:
    browser.appear(width, 900, scheme)
    for view, text in VIEWS.items():
        show(browser, url, view)
        browser.wait_for(f"{TEXT}.includes({text!r})")
        assert browser.evaluate("document.documentElement.scrollWidth") <= width, view
        assert browser.evaluate(READABLE) == [], view
        assert browser.evaluate("document.querySelectorAll('h1').length") == 1
    ground = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(246, 247, 249)", "dark": "rgb(14, 17, 22)"}[scheme]
    assert browser.problems == []


def test_tree_shows_status_and_error_and_hides_children(browser: Browser, url: str) -> None:
    show(browser, url, "stacks/dev")
    text = browser.evaluate(TEXT)
    for part in (LONG, "creating", "The quota of VPCs is exhausted.", "1 failed", "1 in progress"):
        assert part in text
    twist = "document.querySelector('[aria-label=\"Children of network\"]')"
    browser.evaluate(f"{twist}.focus()")
    press(browser, "Enter")
    browser.wait_for(f"{twist}.getAttribute('aria-expanded') === 'false'")
    assert LONG not in browser.evaluate(TEXT)
    # The element stays, so that the keyboard's focus does.
    assert browser.evaluate(f"document.activeElement === {twist}")


def press(browser: Browser, key: str) -> None:
    for kind in ("keyDown", "keyUp"):
        browser.call(
            "Input.dispatchKeyEvent",
            type=kind,
            key=key,
            code=key,
            text="\r",
            windowsVirtualKeyCode=13,
        )


def test_filter_keeps_the_parents_of_matches(browser: Browser, url: str) -> None:
    show(browser, url, "stacks/dev")
    browser.evaluate("document.querySelector('input[type=search]').focus()")
    browser.call("Input.insertText", text="vpc broken")
    browser.wait_for("document.querySelectorAll('.tree .row').length === 3")
    assert browser.evaluate(
        "[...document.querySelectorAll('.tree .name')].map(e => e.innerText.trim())"
    ) == ["platform-dev", "network", "broken"]
    assert browser.evaluate("document.activeElement.value") == "vpc broken"


def test_approval_is_sent_with_its_comment(browser: Browser, url: str, source: FakeSource) -> None:
    show(browser, url, "stacks/dev/pipeline")
    browser.evaluate("document.querySelector('textarea').focus()")
    browser.call("Input.insertText", text="tested")
    click(browser, "Approve")
    browser.wait_for("!document.getElementById('toast').hidden")
    assert browser.evaluate("document.getElementById('toast').innerText") == (
        "Approved Approve/Approve."
    )
    assert source.calls == [
        ("decide", "dev", EXECUTION.id, "Approve", "Approve", "Approved", "tested")
    ]


def test_refusal_is_shown_in_one_sentence(browser: Browser, url: str) -> None:
    show(browser, url, "stacks/dev/pipeline")
    click(browser, "Release HEAD")
    browser.wait_for(
        "document.getElementById('toast').innerText.includes('the working tree has no commit')"
    )


def test_log_of_a_build_is_shown(browser: Browser, url: str) -> None:
    show(browser, url, "stacks/dev/pipeline")
    click(browser, "Log")
    browser.wait_for("document.querySelector('.log pre').innerText.includes('line 199')")


def test_unknown_stack_is_explained(browser: Browser, url: str) -> None:
    show(browser, url, "stacks/other")
    browser.wait_for(f"{TEXT}.includes(\"There is no stack 'other' in this project.\")")


@pytest.mark.parametrize(
    ("view", "command"),
    [
        ("", "sandbox up dev"),
        ("stacks/dev/timeline", "sandbox up dev"),
        ("stacks/dev/pipeline", "sandbox up dev"),
        ("images", "sandbox up dev"),
    ],
)
def test_empty_view_names_the_command(
    browser: Browser, url: str, source: FakeSource, view: str, command: str
) -> None:
    source.empty = True
    show(browser, url, view)
    browser.wait_for(f"{TEXT}.includes({command!r})")


def test_page_of_another_site_cannot_change_anything(
    browser: Browser, url: str, source: FakeSource, tmp_path: Path
) -> None:
    other = tmp_path / "other.html"
    other.write_text(
        f"<script>fetch('{url}api/stacks/dev/pipeline/start', {{method: 'POST', mode: 'no-cors', "
        "body: '{}'}).then(() => document.title = 'sent', () => document.title = 'sent')</script>"
    )
    browser.open(other.as_uri())
    browser.wait_for("document.title === 'sent'")
    assert source.calls == []


def test_updates_move_nothing(browser: Browser, url: str) -> None:
    browser.appear(1280, 900, "light")
    show(browser, url, "stacks/dev/pipeline")
    browser.evaluate(
        "window.shift = 0; new PerformanceObserver(list => { for (const entry of list.getEntries())"
        " window.shift += entry.value; }).observe({type: 'layout-shift'})"
    )
    browser.evaluate("window.requests = performance.getEntriesByType('resource').length")
    browser.wait_for("performance.getEntriesByType('resource').length > window.requests + 5")
    assert browser.evaluate("window.shift") < 0.01
