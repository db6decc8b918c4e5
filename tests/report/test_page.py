"""The page: one file that loads and runs nothing, checked by a parser and by a browser."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from asyncinvoke._report.facts import facts_of
from asyncinvoke._report.page import render

from . import runs
from .browser import Browser, executable

PROGRAM = executable()
NASTY = "<script>alert('x')</script> & \" \u202e \x00 {{ 7 * 7 }} " + "x" * 3000


class Seen(HTMLParser):
    """The elements of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in ("meta", "link", "path", "use", "rect", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open, tag
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data if self.open[-1:] != ["style"] else ""


def page(**changes: Any) -> str:
    return render(runs.facts(**changes), made=runs.STARTED)


@pytest.fixture(scope="module")
def whole() -> str:
    return page(notes={**runs.summary().notes, "logs": runs.LOGS})


def test_the_page_is_well_formed_and_shows_what_ran(whole: str) -> None:
    seen = Seen(whole)
    assert not seen.open
    for message in (
        "charge:live", "complete, and some may have run", "orders.csv", "their keys, at /id",
        "3 (600), 4 (340)", "2026-09-21", "in 2 sessions", "900", "90.0 %", "ValueError",
        "no such account", "asyncinvoke runs redrive orders.run --cause 3 --may-have-run",
        "900 of 1,000 items succeeded, in 20 s, for about $0.00", "99.9 %", "99 ms", runs.REASON, "10 of 940 invocations", "August 2025",
        "a-host, process 4711", "stopped before the end", "? complete", "trying again would not",
    ):  # fmt: skip
        assert message in seen.text, message


def test_it_loads_and_runs_nothing(whole: str) -> None:
    seen = Seen(whole)
    assert not {"script", "iframe", "img", "object", "embed", "form"} & {*seen.tags}
    assert not [name for name, _ in seen.attributes if name.startswith("on")]
    links = [
        value
        for name, value in seen.attributes
        if name in ("src", "href", "xlink:href", "action", "data")
    ]
    assert all(value.startswith(("#", "data:")) for value in links)
    assert not re.findall(r"url\((?!#)|@import", whole)
    assert "default-src 'none'" in whole


def test_no_two_parts_have_the_same_id_and_what_is_pointed_at_is_there(whole: str) -> None:
    ids = re.findall(r'\bid="([^"]+)"', whole)
    assert len(ids) == len({*ids})
    assert {*re.findall(r'(?:url\(#|href="#|labelledby=")([^")]+)', whole)} <= {*ids}


def test_every_colour_of_a_chart_is_the_pages(whole: str) -> None:
    charts = "".join(re.findall(r"<svg.*?</svg>", whole, re.DOTALL))
    assert len(re.findall("<svg", charts)) == 8
    assert not re.findall(r"#[0-9a-f]{6}", charts)


def test_nothing_secret_is_shown(whole: str) -> None:
    assert "hunter2" not in whole


def test_examples_are_shown_as_text() -> None:
    facts = facts_of(
        runs.summary(path="a b'c<i>.run", function_name="f"),
        [runs.cause(example=NASTY, error_type="<b>")],
        runs.measures(),
        [],
    )
    made = render(facts, made=runs.STARTED)
    seen = Seen(made)
    assert not {"script", "i.run"} & {*seen.tags}
    assert "<script>alert('x')</script> & \"" in seen.text
    assert "49" not in seen.text.partition("{{ 7")[2][:12]


EMPTY = {
    "no session": {"sessions": (), "succeeded": 0, "failed": 0, "may_have_run": 0, "notes": {},
                   "total": None, "versions": {}, "qualifier": None, "keyed": False},
    "under way": {"running": True, "in_flight": 7, "sessions": (runs.session(1, ended=None),)},
}  # fmt: skip


@pytest.mark.parametrize("changes", EMPTY.values(), ids=EMPTY)
def test_a_run_that_has_hardly_begun_has_a_page(changes: dict[str, Any]) -> None:
    nothing = runs.measures(latencies=(), lasted={}, steps=())
    facts = facts_of(runs.summary(**changes), [], nothing, [])
    assert "charge" in Seen(render(facts, made=runs.STARTED)).text


def test_without_the_extra_there_is_one_line_with_its_pip_command() -> None:
    program = (
        "import sys; sys.modules['jinja2'] = None\n"
        "from asyncinvoke._report.page import check_installed\n"
        "try: check_installed()\n"
        "except Exception as error: print(f'{type(error).__name__}: {error}')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == (
        "ConfigurationError: a report needs jinja2, which is not installed: "
        "pip install 'asyncinvoke[report]'\n"
    )


LOOK = """JSON.stringify({
    overflow: document.documentElement.scrollWidth - innerWidth,
    charts: [...document.querySelectorAll('.chart')].filter(e => e.offsetWidth).map(e => {
        const box = e.querySelector('svg').getBoundingClientRect();
        return [e.className, Math.round(box.width), Math.round(box.height)];
    }),
    letters: Math.min(...[...document.querySelectorAll('.chart text')]
        .filter(e => e.getBoundingClientRect().height)
        .map(e => e.getBoundingClientRect().height)),
    colours: [document.body, document.querySelector('h1')].map(e => {
        const style = getComputedStyle(e);
        return [style.backgroundColor, style.color];
    }),
    drawn: getComputedStyle(document.querySelector('.chart path[style*="--good"]')).fill,
    text: document.body.innerText,
})"""


@pytest.mark.skipif(PROGRAM is None, reason="there is no Chromium on this machine")
@pytest.mark.parametrize(
    ("width", "dark"), [(390, True), (1280, False)], ids=["phone, dark", "desk, light"]
)
def test_a_browser_shows_it_without_errors_at_any_width_in_light_and_dark(
    width: int, dark: bool, whole: str, tmp_path: Path
) -> None:

    assert PROGRAM is not None
    path = tmp_path / "report.html"
    path.write_text(whole, encoding="utf-8")
    with Browser(PROGRAM, tmp_path / "profile") as browser:
        browser.open(path.as_uri(), width=width, height=800, dark=dark)
        found = json.loads(browser.evaluate(LOOK))
        requested = [
            each["request"]["url"] for each in browser.happened("Network.requestWillBeSent")
        ]
        complaints = browser.happened("Log.entryAdded") + browser.happened(
            "Runtime.exceptionThrown"
        )
    assert not complaints
    assert {url for url in requested if not url.startswith("data:")} == {path.as_uri()}
    assert found["overflow"] <= 0
    kind = "narrow" if width < 600 else "wide"
    assert [name for name, *_ in found["charts"]] == [f"chart {kind}"] * 4
    assert all(w > 300 and h > 80 for _, w, h in found["charts"])
    assert found["letters"] > 8
    (paper, ink), _ = found["colours"]
    assert (paper, ink) == (
        ("rgb(18, 22, 27)", "rgb(230, 234, 239)")
        if dark
        else ("rgb(255, 255, 255)", "rgb(27, 31, 36)")
    )
    assert found["drawn"] in ("rgb(86, 197, 150)", "rgb(10, 108, 74)")
    assert "What failed, and why" in found["text"]
