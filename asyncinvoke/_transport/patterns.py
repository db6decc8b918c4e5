"""Patterns: templates for any function, derived from the request for a placeholder name.

Building a request with aiobotocore takes a millisecond, which would add up for a caller of ten
thousand functions. So the second function of a family (the same operation and options, but another
function or qualifier) creates a pattern: aiobotocore builds a request for a placeholder name, which
the pattern replaces. A pattern is only trusted if it reproduces a second request of aiobotocore,
whose function and qualifier contain every kind of character that Lambda allows.
"""

from collections.abc import Hashable
from typing import Any
from urllib.parse import quote

from asyncinvoke._request.parameters import InvokeParameters
from asyncinvoke._request.target import Target
from asyncinvoke._transport.sdk_request import make_template
from asyncinvoke._transport.sigv4 import Moment
from asyncinvoke._transport.template import Template, UnsuitableError

# Both are longer than any qualifier, so no qualifier contains one. An ARN may contain either.
_NAME, _QUALIFIER = "function-" * 15, "qualifier-" * 13
_PLAIN, _QUALIFIED = Target(name=_NAME), Target(name=_NAME, qualifier=_QUALIFIER)
_ARN = "arn:aws:lambda:us-east-1:123456789012:function:Az09_.-"


class Pattern:
    """The template of a placeholder function, to be replaced by any other."""

    __slots__ = ("_template",)

    def __init__(self, template: Template) -> None:
        self._template = template

    def template(self, target: Target) -> Template | None:
        """Return the template for a target; `None` if its name is a path segment such as `..`."""
        name = target.function_name
        if not name.strip("."):
            return None
        in_url = quote(name, safe="")
        qualifier = quote(target.qualifier or "", safe="")
        # In a canonical request, the path is encoded twice, but the query only once.
        in_canonical = quote(in_url, safe="")
        return self._template.with_texts(
            url=lambda text: _replaced(text, in_url, qualifier),
            canonical=lambda text: _replaced(text, in_canonical, qualifier),
        )


def _replaced(text: str, name: str, qualifier: str) -> str:
    # In this order, no inserted text can contain the next placeholder.
    return text.replace(_QUALIFIER, qualifier).replace(_NAME, name)


async def make_pattern(
    client: Any, operation: str, parameters: InvokeParameters, moment: Moment
) -> Pattern:
    """Create the pattern of a family, and verify it; aiobotocore builds two requests.

    Raises:
        UnsuitableError: Its templates would not send the same bytes.
        Exception: Any error of aiobotocore while building or signing a request.
    """

    async def built(target: Target) -> Template:
        return await make_template(client, operation, parameters.for_target(target), moment)

    placeholder = family_of(parameters).target
    pattern = Pattern(await built(placeholder))
    proof = Target.parse(_ARN, "$LATEST.PUBLISHED" if placeholder is _QUALIFIED else None)
    made = pattern.template(proof)
    if made is None or not made.equals(await built(proof)):
        raise UnsuitableError("requests for two functions differ in more than their names")
    return pattern


def family_of(parameters: InvokeParameters) -> InvokeParameters:
    """Return parameters that are equal for all functions of a family."""
    is_qualified = parameters.target.qualifier is not None
    return parameters.for_target(_QUALIFIED if is_qualified else _PLAIN)


class Patterns:
    """The patterns of a client, at most a few dozen, as options have few values."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._known: dict[Hashable, Pattern | None] = {}
        self._first: dict[Hashable, Target] = {}

    def template(self, family: Hashable, target: Target) -> Template | None:
        """Return the template for a target, if the pattern of its family can produce it."""
        pattern = self._known.get(family)
        return None if pattern is None else pattern.template(target)

    async def learn(
        self, family: Hashable, operation: str, parameters: InvokeParameters, moment: Moment
    ) -> None:
        """Create the pattern of a family at its second function, once.

        If the client was intercepted meanwhile, the caller has to `forget` the pattern.
        """
        is_another = self._first.setdefault(family, parameters.target) != parameters.target
        if not is_another or family in self._known:
            return
        self._known[family] = None  # concurrent calls make their own templates
        try:
            self._known[family] = await make_pattern(self._client, operation, parameters, moment)
        except Exception:  # noqa: BLE001  # optional: the template of the caller exists already
            return
        except BaseException:
            self.forget(family)
            raise

    def forget(self, family: Hashable) -> None:
        """Discard a pattern, so that it is created again."""
        self._known.pop(family, None)
