"""How much may fail, as the command line says it: a number, a share such as 2%, or none."""

import re

import click

from asyncinvoke import InvalidRequestError, Tolerance


def tolerance_option(
    _ctx: click.Context, param: click.Parameter, value: str | None
) -> Tolerance | None:
    """Return what an option says; the callback of those that take a tolerance."""
    try:
        return None if value is None else parse_tolerance(value)
    except ValueError as error:
        raise click.BadParameter(str(error), param=param) from None


def parse_tolerance(text: str) -> Tolerance | None:
    """Return the tolerance that a text says.

    Raises:
        ValueError: It says none; the message quotes it.
    """
    if text == "none":
        return None
    share = re.fullmatch(r"(\d+(?:\.\d+)?)%", text)
    try:
        if share is not None:
            return Tolerance(share=float(share[1]) / 100)
        if re.fullmatch(r"\d{1,18}", text):
            return Tolerance(int(text))
    except InvalidRequestError:
        pass
    raise ValueError(f"{text!r} is no number such as 100, no share such as 2%, and not none")


def shown_tolerance(tolerance: Tolerance | None) -> str:
    """Return the text for a tolerance."""
    if tolerance is None:
        return "none"
    if tolerance.share is not None:
        return f"{tolerance.share * 100:.10g}%"
    return str(tolerance.count)
