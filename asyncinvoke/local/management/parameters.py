"""The allowed values of parameters in paths and queries, from the service's model.

Names and qualifiers of functions, names of layers and the parameters of pages are checked where they are
used. No I/O, no clock.
"""

from collections.abc import Mapping

from asyncinvoke.local.management import shapes
from asyncinvoke.local.management.shapes import Text
from asyncinvoke.local.protocol import names

_REGION = r"(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}"
_RESOURCE = (
    rf"arn:(aws[a-zA-Z-]*):lambda:{_REGION}:\d{{12}}:(function:[a-zA-Z0-9-_]+"
    r"(:(\$LATEST|[a-zA-Z0-9-_]+))?|code-signing-config:csc-[a-z0-9]{17}|event-source-mapping:"
    r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}|"
    r"(capacity-provider|network-connector):[a-zA-Z0-9-_]{1,64})"
)
_LAYER_VERSION = (
    rf"((arn:(aws[a-zA-Z-]*)?:lambda:{_REGION}:\d{{12}}:layer:[a-zA-Z0-9-_]+:[0-9]+)|"
    r"(arn:[a-zA-Z0-9-]+:lambda:::awslayer:[a-zA-Z0-9-_]+))"
)

_SHAPES: Mapping[str, shapes.Shape] = {
    "Arn": Text(least=1, most=2048, pattern=_LAYER_VERSION),
    "CompatibleArchitecture": Text(choices=("x86_64", "arm64")),
    "EventSourceArn": shapes.ARN,
    "FunctionName": Text(least=1, most=256, pattern=names.NAME_PATTERN),
    "MasterRegion": Text(least=1, most=50, pattern=f"ALL|{_REGION}"),
    "Name": shapes.ALIAS,
    "Resource": Text(least=1, pattern=_RESOURCE),
    "StatementId": Text(least=1, most=100, pattern="([a-zA-Z0-9-_.]+)"),
    "UUID": Text(least=36, most=36),
}
"""The parameters that have the same shape in all operations, by name."""


def check(values: Mapping[str, str]) -> None:
    """Check the parameters of a request.

    Raises:
        Refusal: A value violates a constraint.
    """
    shapes.check(values, _SHAPES)
