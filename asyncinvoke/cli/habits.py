"""Flags and conventions of other tools: what to use here instead, and when to disable colour."""

import base64
import os
from collections.abc import Collection, Mapping
from typing import ClassVar

import click

from asyncinvoke.cli.errors import CommandError

AWS: dict[str, str] = {
    "--query": "use jq, as in: asyncinvoke invoke FUNCTION | jq .key; standard output has only the "
    "function's response, standard error the status and version, and --log-type Tail adds the log",
    "--cli-binary-format": "not needed: payloads are sent unchanged",
    "--cli-input-json": "pass FUNCTION, the payload and the options separately",
    "--cli-read-timeout": "the default is as long as a function can run; use --timeout 5m for less",
    "--cli-connect-timeout": "--timeout limits the total time, including connecting",
    "--no-verify-ssl": "certificates are always verified: set AWS_CA_BUNDLE to trust your own",
    "--ca-bundle": "set AWS_CA_BUNDLE",
    "--no-sign-request": "requests are always signed; a local endpoint accepts any keys",
    "--no-cli-pager": "not needed: there is no pager",
    "--color": "set NO_COLOR=1 to disable colour",
    "--debug": "use asyncinvoke doctor FUNCTION to diagnose problems",
}
"""Options of the AWS CLI that have no direct equivalent here."""

_FORMATS = frozenset({"json", "text", "table", "yaml", "yaml-stream", "off"})


class Command(click.Command):
    """A command that suggests the equivalent of an AWS CLI option."""

    INSTEAD: ClassVar[Mapping[str, str]] = AWS
    """What to use in place of an option that does not exist here."""

    EXTRA: ClassVar[str | None] = None
    """What an unexpected extra argument probably meant."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; errors say what to write instead."""
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
    """A group that suggests the closest command for an unknown name."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the options of the group; the AWS CLI takes those of its commands here as well."""
        known = self.list_commands(ctx)
        command = next((each for each in args if each in known), None)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            name = error.option_name
            taker = None if command is None else self.get_command(ctx, command)
            if taker is None or not any(name in each.opts for each in taker.get_params(ctx)):
                raise
            said = f"{name}: options follow the command: {ctx.command_path} {command} {name}"
            raise click.UsageError(said, ctx) from None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the requested command."""
        known = self.list_commands(ctx)
        if args and args[0] not in known and not args[0].startswith("-"):
            raise click.UsageError(f"No such command {args[0]!r}{_meant(args[0], known)}", ctx)
        return super().resolve_command(ctx, args)


def check_output(output: str | None) -> None:
    """Reject an empty `--output`, and the format names that the AWS CLI accepts for it.

    Raises:
        CommandError: The value is empty or a format name.
    """
    if output == "":
        raise CommandError("--output is empty: it must be a file name, or -")
    if output in _FORMATS:
        raise CommandError(
            f"--output {output}: --output takes a file name, and the output is always JSON; "
            f"use ./{output} for a file of that name"
        )


def is_base64_of_json(payload: bytes) -> bool:
    """Return whether a payload is base64-encoded JSON, the AWS CLI's default encoding."""
    try:
        decoded = base64.b64decode(payload, validate=True).strip()
    except ValueError:
        return False
    return decoded[:1] in (b"{", b"[", b'"')


def has_colours() -> bool:
    """Return whether colour may be used on a terminal: see https://no-color.org."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


_WORDS = {
    "aws": "asyncinvoke invoke FUNCTION",
    "lambda": "asyncinvoke invoke FUNCTION",
    "help": "--help",
    "version": "--version",
}

_OF_RUNS = {
    "continue": "unpause",
    "resume": "unpause",
    "rerun": "redrive",
    "retry": "redrive",
    "status": "show",
}
"""Words for the commands of `runs`; `MapRun.resume` is one of them."""


def _meant(word: str, known: Collection[str]) -> str:
    if word in _WORDS:
        return f". Did you mean {_WORDS[word]!r}?"
    if _OF_RUNS.get(word) in known:
        return f". Did you mean {_OF_RUNS[word]!r}?"
    import difflib  # imported late, to keep `--help` fast

    near = difflib.get_close_matches(word, known, n=1)
    return f". Did you mean {near[0]!r}?" if near else "."
