"""Flags and conventions of other tools: what to use here instead, and when to disable colour."""

import base64
import os
from collections.abc import Iterable, Mapping
from typing import ClassVar

import click

from asyncinvoke.cli.errors import CommandError

AWS: dict[str, str] = {
    "--query": "pipe the answer into jq, which is what the function returns and nothing around it; "
    "--log-type Tail shows the log, and map writes the facts of a call as JSON",
    "--cli-binary-format": "payloads are taken as they are: leave it out",
    "--cli-input-json": "write FUNCTION, the payload and the options one by one",
    "--cli-read-timeout": "it waits as long as a function can run; --timeout 5m for less",
    "--cli-connect-timeout": "--timeout bounds everything, connecting included",
    "--no-verify-ssl": "certificates are always checked: set AWS_CA_BUNDLE to trust one of yours",
    "--ca-bundle": "set AWS_CA_BUNDLE",
    "--no-sign-request": "requests are always signed; a local endpoint takes any keys",
    "--no-cli-pager": "there is no pager: leave it out",
    "--color": "set NO_COLOR=1 to have none",
    "--debug": "asyncinvoke doctor FUNCTION says what is wrong on the way to it",
}
"""Options of AWS's own command line that have no namesake here."""

_FORMATS = frozenset({"json", "text", "table", "yaml", "yaml-stream", "off"})


class Command(click.Command):
    """A command that answers a habit with what to write instead."""

    INSTEAD: ClassVar[Mapping[str, str]] = AWS
    """What to write in place of an option that there is not."""

    EXTRA: ClassVar[str | None] = None
    """What is probably meant by a word too many."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the words; what cannot be read says what to write."""
        ctx.allow_extra_args = True
        try:
            rest = super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            said = self.INSTEAD.get(error.option_name)
            if said is None:
                raise
            raise click.UsageError(f"{error.option_name}: {said}", ctx) from None
        if rest and not ctx.resilient_parsing:
            hint = "" if self.EXTRA is None else f": {self.EXTRA}"
            words = "word" if len(rest) == 1 else "words"
            raise click.UsageError(f"{' '.join(rest)}: unexpected {words}{hint}", ctx)
        return rest


class Group(click.Group):
    """Commands, of which the nearest is named where there is none of a name."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is asked for."""
        known = self.list_commands(ctx)
        if args and args[0] not in known and not args[0].startswith("-"):
            raise click.UsageError(f"No such command {args[0]!r}{_meant(args[0], known)}", ctx)
        return super().resolve_command(ctx, args)


def check_output(output: str | None) -> None:
    """Refuse a name that AWS's command line takes for a format, and none at all.

    Raises:
        CommandError: It is such a one.
    """
    if output == "":
        raise CommandError("--output is empty: it takes the name of a file, or -")
    if output in _FORMATS:
        raise CommandError(
            f"--output {output}: it takes a file here, and the output is always JSON; "
            f"./{output} is a file of that name"
        )


def is_base64_of_json(payload: bytes) -> bool:
    """Return whether a payload was encoded as AWS's command line wants it by default."""
    try:
        decoded = base64.b64decode(payload, validate=True).strip()
    except ValueError:
        return False
    return decoded[:1] in (b"{", b"[", b'"')


def has_colours() -> bool:
    """Return whether a terminal may be given colours: see https://no-color.org."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


_WORDS = {
    "aws": "asyncinvoke invoke FUNCTION",
    "lambda": "asyncinvoke invoke FUNCTION",
    "help": "--help",
    "version": "--version",
}


def _meant(word: str, known: Iterable[str]) -> str:
    if word in _WORDS:
        return f". Did you mean {_WORDS[word]!r}?"
    import difflib  # only now, as `--help` should be quick

    near = difflib.get_close_matches(word, known, n=1)
    return f". Did you mean {near[0]!r}?" if near else "."
