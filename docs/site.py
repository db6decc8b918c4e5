"""Builds the documentation as a site, offline: `make docs`, or `python docs/site.py`.

The pages are those of this folder and those at the root of the checkout. What the code says better is
made of the code: the API from the docstrings, the command line from its options. A link that leads to
nothing, in the pages or in what was made of them, is an error, and so is anything that a page would
load from elsewhere.
"""

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click

import asyncinvoke
from asyncinvoke.cli.app import COMMANDS, STATUSES, app

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = ROOT / "build" / "docs"
SITE = ROOT / "build" / "site"
CONFIG = ROOT / "mkdocs.yml"

ELSEWHERE = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "benchmarks/README.md": "benchmarks.md",
    "README.md": "index.md",
}
"""Pages outside of docs/, by the place that they have on the site."""

LAST_OF_HOW_TO = "      - Find what is wrong: doctor.md"
LAST_OF_REFERENCE = "      - asyncinvoke.testing: reference/testing.md"
"""Lines of `nav` behind which pages go that it does not list."""

FACES = ("Invoker", "Function", "MapRun", "ResponseStream", "diagnose")
"""The public names that have a page of their own."""

_LINK = re.compile(r"(!?\[[^\]]*\]\()([^)\s]+)(\))")


def main() -> None:
    """Build the site, and check it."""
    write_pages()
    zensical = Path(sys.executable).with_name("zensical")
    built = subprocess.run(
        [zensical, "build", "--strict", "--clean", "--config-file", write_config()],
        cwd=ROOT,
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    print(built.stdout.strip(), built.stderr.strip(), sep="\n", file=sys.stderr)
    if built.returncode:
        sys.exit("the site cannot be built")
    faults = check(SITE)
    if faults:
        sys.exit("\n".join(faults))
    print(f"{SITE.relative_to(ROOT)}/index.html: {len(list(SITE.rglob('*.html')))} pages")


def write_pages() -> None:
    """Put together what the site is built from."""
    shutil.rmtree(PAGES, ignore_errors=True)
    PAGES.mkdir(parents=True)
    for path in sorted(DOCS.rglob("*")):
        if path.suffix in (".md", ".js", ".css", ".svg", ".png"):
            _put(path, PAGES / path.relative_to(DOCS))
    for name, place in ELSEWHERE.items():
        if name != "README.md":
            _put(ROOT / name, PAGES / place)
    for name, text in reference().items():
        (PAGES / name).parent.mkdir(exist_ok=True)
        (PAGES / name).write_text(text, encoding="utf-8")


def write_config() -> Path:
    """Write the configuration that is built from: mkdocs.yml, and in its `nav` every page there is."""
    text = CONFIG.read_text("utf-8")
    for folder in (PAGES, SITE):
        text = text.replace(f" build/{folder.name}\n", f" {folder.name}\n")
    text = text.replace("paths: [.]", "paths: [..]")
    listed = set(re.findall(r": ([\w/-]+\.md)$", text, re.MULTILINE))
    for path in sorted(PAGES.rglob("*.md")):
        page = path.relative_to(PAGES).as_posix()
        if page in listed:
            continue
        title = path.read_text("utf-8").partition("\n")[0].removeprefix("# ")
        last = LAST_OF_REFERENCE if page.startswith("reference/") else LAST_OF_HOW_TO
        text = text.replace(last, f"{last}\n      - {json.dumps(title)}: {page}")
    place = PAGES.with_name("mkdocs.yml")
    place.write_text(text, encoding="utf-8")
    return place


def reference() -> dict[str, str]:
    """Return the pages that are made of the code."""
    public = asyncinvoke.__all__
    errors = [name for name in public if name.endswith("Error")] + ["GaveUp"]
    values = [name for name in public if name not in (*FACES, *errors)]
    pages = {
        "reference/invoker.md": _api(
            "Invoker, Function, MapRun",
            "The classes and functions for making calls. All names can be imported from `asyncinvoke`.",
            "asyncinvoke",
            FACES,
        ),
        "reference/values.md": _api(
            "Values and policies",
            "Responses and outcomes, limits, retry policies, and the events that hooks receive.",
            "asyncinvoke",
            values,
        ),
        "reference/errors.md": _api(
            "Errors",
            "All exceptions, each named for what a caller can do about it.",
            "asyncinvoke",
            sorted(errors),
            before=_tree(),
        ),
        "reference/cli.md": _commands(),
    }
    for door in doors():
        module = importlib.import_module(f"asyncinvoke.{door}")
        about = (module.__doc__ or "").splitlines()[0]
        pages[f"reference/{door}.md"] = _api(
            f"asyncinvoke.{door}", about, f"asyncinvoke.{door}", module.__all__
        )
    return pages


def doors() -> list[str]:
    """Return the public modules that have names of their own."""
    found = []
    for path in sorted((ROOT / "asyncinvoke").iterdir()):
        name = path.stem
        if name.startswith("_") or name in ("cli", "errors", "py"):
            continue
        source = path / "__init__.py" if path.is_dir() else path
        if source.suffix == ".py" and source.exists() and "__all__" in source.read_text("utf-8"):
            found.append(name)
    return found


def check(site: Path) -> list[str]:
    """Return what is wrong with a built site: links that lead to nothing, and what is loaded from elsewhere."""
    pages = {path: _read(path) for path in site.rglob("*.html")}
    faults = []
    for path, page in pages.items():
        name = path.relative_to(site)
        faults += [f"{name} loads {url}" for url in page.loads if urlsplit(url).netloc]
        if page.asks:
            faults.append(f"{name} asks the host of the repository for its stars")
        for link in page.links + page.loads:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            # A page of errors has links from the root of a server, whatever is there.
            target = path if not parts.path else path.parent / unquote(parts.path)
            target = Path(os.path.normpath(target))
            if name.name == "404.html":
                continue
            if target.is_dir():
                target = target / "index.html"
            if not target.exists():
                faults.append(f"{name} links to {link}, which is not there")
            elif (
                parts.fragment
                and target in pages
                and unquote(parts.fragment) not in pages[target].anchors
            ):
                faults.append(f"{name} links to {link}, which has no such heading")
    return sorted(set(faults))


class _Page(HTMLParser):
    """Collects the links of a page, what it loads, and its anchors."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = {""}
        self.asks = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.anchors |= {value for key, value in attrs if key in ("id", "name") and value}
        self.asks |= given.get("data-md-component") == "source"
        if tag == "a" and given.get("href"):
            self.links.append(str(given["href"]))
        if tag in ("img", "script", "source", "iframe") and given.get("src"):
            self.loads.append(str(given["src"]))
        if tag == "link" and given.get("rel") != "canonical" and given.get("href"):
            if given.get("rel") in ("prev", "next", "edit"):
                self.links.append(str(given["href"]))
            else:
                self.loads.append(str(given["href"]))


def _read(path: Path) -> _Page:
    page = _Page()
    page.feed(path.read_text("utf-8"))
    return page


def _put(source: Path, target: Path) -> None:
    """Copy a page, its links set right for where it is on the site."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.suffix != ".md":
        shutil.copy(source, target)
        return
    target.write_text(
        _LINK.sub(lambda found: _moved(found, source, target), source.read_text("utf-8")),
        encoding="utf-8",
    )


def _moved(found: re.Match[str], source: Path, target: Path) -> str:
    before, link, after = found.groups()
    path, _, anchor = link.partition("#")
    if re.match(r"[a-z]+:", link) or not path:
        return found[0]
    led = Path(os.path.normpath(source.parent / path))
    anchor = f"#{anchor}" if anchor else ""
    if led.is_relative_to(DOCS) and led.exists():
        place = PAGES / led.relative_to(DOCS)
    elif str(led.relative_to(ROOT)) in ELSEWHERE:
        place = PAGES / ELSEWHERE[str(led.relative_to(ROOT))]
        if led.name == "README.md" and led.parent == ROOT:
            anchor = ""
    elif led.suffix in (".svg", ".png"):
        place = PAGES / "pictures" / led.name
        place.parent.mkdir(exist_ok=True)
        shutil.copy(led, place)
    elif not led.exists() and (led.parent / led.name).is_relative_to(DOCS / "reference"):
        place = PAGES / led.relative_to(DOCS)
    else:
        return f"{before}{_repository()}/blob/main/{led.relative_to(ROOT)}{anchor}{after}"
    return f"{before}{os.path.relpath(place, target.parent)}{anchor}{after}"


def _repository() -> str:
    found = re.search(r"^  repository: (\S+)", CONFIG.read_text("utf-8"), re.MULTILINE)
    if found is None:
        raise ValueError("mkdocs.yml has no repository")
    return found[1]


def _api(
    title: str, about: str, package: str, names: tuple[str, ...] | list[str], *, before: str = ""
) -> str:
    parts = [f"# {title}", about, before]
    parts += [f"::: {package}.{name}" for name in names]
    return "\n\n".join(part for part in parts if part) + "\n"


def _tree() -> str:
    text = importlib.import_module("asyncinvoke.errors").__doc__ or ""
    return "```text\n" + text.partition("\n\n")[2].strip() + "\n```"


def _commands() -> str:
    """Return the page of the command line, made of the commands themselves."""
    parts = [
        "# Every option",
        (
            "`pip install 'asyncinvoke[cli]'` installs the command `asyncinvoke`; `python -m asyncinvoke` "
            "is the same. [Completion](../installation.md#completion) is one line in your shell's start-up file."
        ),
    ]
    context = click.Context(app, info_name="asyncinvoke")
    for name in COMMANDS:
        command = app.get_command(context, name)
        assert command is not None
        parts += _command(command, click.Context(command, parent=context, info_name=name))
        parts += _members(command, click.Context(command, parent=context, info_name=name))
    parts += [
        "## Exit statuses",
        "\n".join(
            [
                "| status | meaning |",
                "|--:|---|",
                *(f"| {n} | {text} |" for n, text in STATUSES.items()),
            ]
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _members(group: click.Command, context: click.Context) -> list[str]:
    """Return the commands of a group, if it is one."""
    if not isinstance(group, click.Group):
        return []
    parts: list[str] = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        parts += _command(command, click.Context(command, parent=context, info_name=name))
    return parts


def _command(command: click.Command, context: click.Context) -> list[str]:
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    parts = [f"## {context.command_path}", f"```text\n{usage}\n```", _unwrapped(command.help or "")]
    rows = []
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            names, text = (part.replace("|", "\\|") for part in record)
            rows.append(f"| `{names}` | {text} |".replace("`{", "`").replace("\n", " "))
    parts.append("\n".join(["| option | meaning |", "|---|---|", *rows]))
    if command.epilog:
        lines = command.epilog.replace("\b", "").strip().splitlines()
        examples = "\n".join(line.removeprefix("  ") for line in lines if line.startswith("  "))
        parts.append(f"```sh\n{examples}\n```")
    return parts


def _unwrapped(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


if __name__ == "__main__":
    main()
