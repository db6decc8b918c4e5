"""The parts of the documentation site other than the pages, and the check of its links."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import click
import pytest

import asyncinvoke
from asyncinvoke.cli.app import COMMANDS, app

DOCS = Path(__file__).parent.parent / "docs"


@pytest.fixture(scope="module")
def site() -> ModuleType:
    """docs/site.py, which is not in a package."""
    spec = importlib.util.spec_from_file_location("site_of_docs", DOCS / "site.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_public_name_has_its_place_in_the_reference_once(site: ModuleType) -> None:
    text = "\n".join(site.reference().values())
    documented = re.findall(r"^::: asyncinvoke\.(\w+)$", text, re.MULTILINE)
    assert sorted(documented) == sorted(asyncinvoke.__all__)
    assert {"local", "testing", "typing"} <= set(site.doors())


def test_every_option_of_every_command_is_in_the_reference(site: ModuleType) -> None:
    page = site.reference()["reference/cli.md"]
    context = click.Context(app)
    commands = {name: app.get_command(context, name) for name in COMMANDS}
    for name, group in list(commands.items()):
        if isinstance(group, click.Group):
            commands |= {f"{name} {each}": group.commands[each] for each in group.commands}
    for name, command in commands.items():
        assert command is not None
        shown = page.partition(f"## asyncinvoke {name}\n")[2].partition("\n## asyncinvoke ")[0]
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                assert all(option in shown for option in parameter.opts), (name, parameter.opts)


def test_dead_links_dead_anchors_and_what_is_loaded_from_elsewhere_are_found(
    site: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "other.html").write_text('<h2 id="there">There</h2>')
    (tmp_path / "index.html").write_text(
        '<a href="other.html#there">well</a><a href="https://example.invalid">elsewhere</a>'
        '<a href="gone.html">dead</a><a href="other.html#nowhere">dead</a>'
        '<script src="https://example.invalid/x.js"></script>'
    )
    assert site.check(tmp_path) == [
        "index.html links to gone.html, which is not there",
        "index.html links to other.html#nowhere, which has no such heading",
        "index.html loads https://example.invalid/x.js",
    ]


def test_links_between_the_pages_are_those_of_the_site(site: ModuleType, tmp_path: Path) -> None:
    source = DOCS / "index.md"
    moved = site._LINK.sub(
        lambda found: site._moved(found, source, site.PAGES / "index.md"),
        "[a](tutorial.md#one-call) [b](../CONTRIBUTING.md) [c](../examples/one_call.py) [d](#here)",
    )
    repository = site._repository()
    assert moved == (
        "[a](tutorial.md#one-call) [b](contributing.md) "
        f"[c]({repository}/blob/main/examples/one_call.py) [d](#here)"
    )


def test_every_page_is_in_the_navigation_once() -> None:
    nav = (
        (DOCS.parent / "mkdocs.yml")
        .read_text("utf-8")
        .partition("\nnav:\n")[2]
        .partition("\n\n")[0]
    )
    listed = re.findall(r": ([\w/-]+\.md)$", nav, re.MULTILINE)
    titles = re.findall(r"- ([^:\n]+): [\w/-]+\.md$", nav, re.MULTILINE)
    assert sorted(listed) == sorted(set(listed))
    assert sorted(titles) == sorted(set(titles))
    assert {page.name for page in DOCS.glob("*.md")} <= set(listed)
