"""Templates of any function from one: a request of a family without its function.

To have aiobotocore build a request takes a millisecond, which a caller of ten thousand functions would
pay for each. So the second function of a family (the same operation and options, another function or
qualifier) makes a pattern: aiobotocore builds a request for a made-up name, and the pattern replaces
that name. It is only trusted if it reproduces another request of aiobotocore's, for a function and a
qualifier with every kind of character that Lambda allows.
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
    """A template of a made-up function, which any other can replace."""

    __slots__ = ("_template",)

    def __init__(self, template: Template) -> None:
        self._template = template

    def template(self, target: Target) -> Template | None:
        """Return the template for a target; `None` where its name is a step in a path (`..`)."""
        name = target.function_name
        if not name.strip("."):
            return None
        in_url = quote(name, safe="")
        qualifier = quote(target.qualifier or "", safe="")
        # A canonical request encodes the path once more, and leaves the query as it is.
        in_canonical = quote(in_url, safe="")
        return self._template.with_texts(
            url=lambda text: _replaced(text, in_url, qualifier),
            canonical=lambda text: _replaced(text, in_canonical, qualifier),
        )


def _replaced(text: str, name: str, qualifier: str) -> str:
    # In this order, as no text that was put in is searched.
    return text.replace(_QUALIFIER, qualifier).replace(_NAME, name)


async def make_pattern(
    client: Any, operation: str, parameters: InvokeParameters, moment: Moment
) -> Pattern:
    """Have aiobotocore build two requests of a family, and make a pattern of them.

    Raises:
        UnsuitableError: Its templates would not send the same bytes.
        Exception: Whatever aiobotocore raises where such a request cannot be built or signed.
    """

    async def built(target: Target) -> Template:
        return await make_template(client, operation, parameters.for_target(target), moment)

    is_qualified = parameters.target.qualifier is not None
    pattern = Pattern(await built(_QUALIFIED if is_qualified else _PLAIN))
    proof = Target.parse(_ARN, "$LATEST.PUBLISHED" if is_qualified else None)
    made = pattern.template(proof)
    if made is None or not made.equals(await built(proof)):
        raise UnsuitableError("requests for two functions differ in more than their names")
    return pattern


def family_of(parameters: InvokeParameters) -> InvokeParameters:
    """Return parameters that are the same for all functions of a family."""
    is_qualified = parameters.target.qualifier is not None
    return parameters.for_target(_QUALIFIED if is_qualified else _PLAIN)


class Patterns:
    """The patterns of a client. There are a few dozen families at most: options have few values."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._known: dict[Hashable, Pattern | None] = {}
        self._first: dict[Hashable, Target] = {}

    def template(self, family: Hashable, target: Target) -> Template | None:
        """Return the template for a target, if its family has a pattern that can make it."""
        pattern = self._known.get(family)
        return None if pattern is None else pattern.template(target)

    async def learn(
        self, family: Hashable, operation: str, parameters: InvokeParameters, moment: Moment
    ) -> None:
        """Make a pattern, if this is another function of a family that has not been tried.

        If somebody listened to the client meanwhile, the caller has to `forget` it.
        """
        is_another = self._first.setdefault(family, parameters.target) != parameters.target
        if not is_another or family in self._known:
            return
        self._known[family] = None  # others that come meanwhile have their own templates made
        try:
            self._known[family] = await make_pattern(self._client, operation, parameters, moment)
        except Exception:  # noqa: BLE001  # it is about made-up names only: the caller's own template was made
            return
        except BaseException:
            self.forget(family)
            raise

    def forget(self, family: Hashable) -> None:
        """Forget a pattern, so that it can be made again."""
        self._known.pop(family, None)
