"""The recorded answers of operations on versions, aliases, Event settings and layers.

Form and tokens are those of `recorded_set_up`. `<CATS>` is the name of a layer that does not exist
at first, `<LAYER>` its ARN without a version.
"""

from typing import Any

from .recorded_set_up import (
    EVENTS,
    FUNCTIONS,
    TAGS,
    F,
    Sent,
    SetUpVector,
    _create,
    _invalid,
    _nothing,
    _refused,
    _violated,
)

_DAY = "REC 2023-11-20, "
_ALIASES = f"{_DAY}test_notfound_and_invalid_routingconfigs"
_QUEUE = f"{_DAY}test_lambda_eventinvokeconfig_exceptions"
_LAYERS = f"{_DAY}test_layer_function_exceptions"
_PROVISIONED = f"{_DAY}test_provisioned_concurrency_exceptions"
_PERMISSIONS = f"{_DAY}test_remove_multi_permissions"
_OLD = "00000000-0000-4000-8000-000000000000"
_REVISION = (
    "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias "
    "API to retrieve the latest Revision Id"
)
_ONE = "1 validation error detected: "
LAYER = "/2018-10-31/layers/<CATS>/versions"
NEW_EVENTS = EVENTS.replace("<F>", "<F>-new")
PROVISIONED = "/2019-09-30/functions/<F>/provisioned-concurrency"
CONCURRENCY = "/2017-10-31/functions/<F>/concurrency"
_PUBLISH: Sent = ("POST", f"{F}/versions", {})
_PUBLISHED = (
    _PUBLISH,
    ("PUT", f"{F}/configuration", {"Environment": {"Variables": {"STAGE": "prod"}}}),
    _PUBLISH,
)
"""Publishes the versions 1 and 2."""


def _alias(version: str = "1", name: str = "custom", **weights: float) -> Sent:
    asked: dict[str, Any] = {"Name": name, "FunctionVersion": version}
    if weights:
        shares = {number.lstrip("v"): share for number, share in weights.items()}
        asked["RoutingConfig"] = {"AdditionalVersionWeights": shares}
    return "POST", f"{F}/aliases", asked


def _permission(sid: str, **more: str) -> Sent:
    asked = {"StatementId": sid, "Action": "lambda:InvokeFunction"}
    return "POST", f"{F}/policy", {**asked, "Principal": f"{sid}.amazonaws.com", **more}


def _statement(sid: str) -> str:
    return (
        f'{{"Sid":"{sid}","Effect":"Allow","Principal":{{"Service":"{sid}.amazonaws.com"}},'
        '"Action":"lambda:InvokeFunction","Resource":"<ARN>"}'
    )


def _layered(*arns: str) -> Sent:
    return _create(Layers=[*arns])


_LAYER_OF_CATS: Sent = (
    "POST",
    LAYER,
    {
        "Content": {"ZipFile": "<ZIP>"},
        "CompatibleRuntimes": ["python3.13"],
        "CompatibleArchitectures": ["x86_64"],
        "LicenseInfo": "MIT",
    },
)


def _outdated(operation: str, source: str, sent: Sent, before: tuple[Sent, ...] = ()) -> Any:
    code = "PreconditionFailedException"
    name = "an older revision"
    return _refused(name, operation, source, sent, 412, code, _REVISION, before=before)


VERSIONS_AND_ALIASES = [
    _outdated(
        "PublishVersion",
        f"{_DAY}test_function_revisions_version_and_alias",
        ("POST", f"{F}/versions", {"RevisionId": _OLD}),
    ),
    _invalid(
        "another code than that of $LATEST",
        "PublishVersion",
        f"{_DAY}test_lambda_image_versions",
        ("POST", f"{F}/versions", {"CodeSha256": "a" * 64}),
        f"CodeSHA256 ({'a' * 64}) is different from current CodeSHA256 in $LATEST (",
        begins=True,
    ),
    SetUpVector(
        name="an alias of $LATEST",
        operation="CreateAlias",
        source=_ALIASES,
        sent=_alias("$LATEST", "custom-latest"),
        status=201,
        says={
            "AliasArn": "<ARN>:custom-latest",
            "Description": "",
            "FunctionVersion": "$LATEST",
            "Name": "custom-latest",
        },
        says_not=("RoutingConfig",),
    ),
    _nothing(
        "an alias of a version that is not there",
        "CreateAlias",
        _ALIASES,
        _alias("10"),
        "Function not found: <ARN>:10",
    ),
    _nothing(
        "an alias of a function that is not there",
        "CreateAlias",
        _ALIASES,
        ("POST", f"{FUNCTIONS}/<F>-unknown/aliases", {"Name": "custom", "FunctionVersion": "1"}),
        "Function not found: <ARN>-unknown:1",
    ),
    _refused(
        "an alias that is there",
        "CreateAlias",
        _ALIASES,
        _alias(),
        409,
        "ResourceConflictException",
        "Alias already exists: <ARN>:custom",
        before=(_PUBLISH, _alias()),
    ),
    _nothing(
        "an alias that is not there",
        "GetAlias",
        _ALIASES,
        ("GET", f"{F}/aliases/non-existent", None),
        "Cannot find alias arn: <ARN>:non-existent",
    ),
    _outdated(
        "UpdateAlias",
        f"{_DAY}test_function_revisions_version_and_alias",
        ("PUT", f"{F}/aliases/custom", {"Description": "changed", "RevisionId": _OLD}),
        before=(_PUBLISH, _alias()),
    ),
    SetUpVector(
        name="an alias that shares out its calls",
        operation="CreateAlias",
        source=_ALIASES,
        sent=_alias(v2=0.5),
        before=_PUBLISHED,
        status=201,
        says={"FunctionVersion": "1", "RoutingConfig": {"AdditionalVersionWeights": {"2": 0.5}}},
    ),
    _invalid(
        "shares for more than one version",
        "CreateAlias",
        _ALIASES,
        _alias(v2=0.5, v3=0.25),
        "Number of items in AdditionalVersionWeights cannot be greater than 1",
        before=_PUBLISHED,
    ),
    *(
        _violated(
            f"a share of {share}",
            "CreateAlias",
            _ALIASES,
            _alias(v2=share),
            f"{_ONE}Value '{{2={share}}}' at 'routingConfig.additionalVersionWeights' failed to "
            "satisfy constraint: Map value must satisfy constraint: [Member must have value less "
            "than or equal to 1.0, Member must have value greater than or equal to 0.0, Member must "
            "not be null]",
            before=_PUBLISHED,
        )
        for share in (2.0, -1.0)
    ),
    _violated(
        "a share for $LATEST",
        "CreateAlias",
        _ALIASES,
        (
            "POST",
            f"{F}/aliases",
            {
                **(_alias()[2] or {}),
                "RoutingConfig": {"AdditionalVersionWeights": {"$LATEST": 0.5}},
            },
        ),
        f"{_ONE}Value '{{$LATEST=0.5}}' at 'routingConfig.additionalVersionWeights' failed to satisfy "
        "constraint: Map keys must satisfy constraint: [Member must have length less than or equal "
        "to 1024, Member must have length greater than or equal to 1, Member must satisfy regular "
        "expression pattern: [0-9]+, Member must not be null]",
        before=_PUBLISHED,
    ),
    _invalid(
        "a share for the version itself",
        "CreateAlias",
        _ALIASES,
        _alias(v1=0.5),
        "Invalid function version 1. Function version 1 is already included in routing configuration.",
        before=_PUBLISHED,
    ),
    _nothing(
        "a share for a version that is not there",
        "CreateAlias",
        _ALIASES,
        _alias(v10=0.5),
        "Function not found: <ARN>:10",
        before=_PUBLISHED,
    ),
    SetUpVector(
        name="$LATEST shares with a version",
        operation="CreateAlias",
        source=_ALIASES,
        sent=_alias("$LATEST", v1=0.5),
        before=_PUBLISHED,
        status=400,
        code="InvalidParameterValueException",
        says={"message": "$LATEST is not supported for an alias pointing to more than 1 version"},
    ),
    SetUpVector(
        name="an empty routing",
        operation="CreateAlias",
        source=_ALIASES,
        sent=("POST", f"{F}/aliases", {**(_alias()[2] or {}), "RoutingConfig": {}}),
        before=_PUBLISHED,
        status=201,
        says={"FunctionVersion": "1"},
        says_not=("RoutingConfig",),
    ),
    _nothing(
        "a function that is not there",
        "GetFunction",
        "REC 2024-03-27, test_function_lifecycle",
        ("GET", f"{FUNCTIONS}/<F>-new", None),
        "Function not found: <ARN>-new",
    ),
]

CONCURRENCY_AND_EVENTS = [
    SetUpVector(
        name="a reserve of nothing",
        operation="PutFunctionConcurrency",
        source=f"{_DAY}test_function_concurrency",
        sent=("PUT", CONCURRENCY, {"ReservedConcurrentExecutions": 0}),
        says={"ReservedConcurrentExecutions": 0},
    ),
    SetUpVector(
        name="a reserve that was taken away",
        operation="GetFunctionConcurrency",
        source=f"{_DAY}test_function_concurrency",
        sent=("GET", "/2019-09-30/functions/<F>/concurrency", None),
        before=(
            ("PUT", CONCURRENCY, {"ReservedConcurrentExecutions": 1}),
            ("DELETE", CONCURRENCY, None),
        ),
        says_not=("ReservedConcurrentExecutions",),
    ),
    *(
        _nothing(
            f"a function that is not there, by {method}",
            operation,
            _QUEUE,
            (method, NEW_EVENTS + path, members),
            "The function doesn't exist.",
        )
        for operation, method, path, members in (
            ("PutFunctionEventInvokeConfig", "PUT", "", {"MaximumRetryAttempts": 1}),
            ("UpdateFunctionEventInvokeConfig", "POST", "", {"MaximumRetryAttempts": 1}),
            ("ListFunctionEventInvokeConfigs", "GET", "/list", None),
        )
    ),
    *(
        _nothing(
            "nothing is set of a function that is not there",
            operation,
            _QUEUE,
            (method, NEW_EVENTS, None),
            "The function <ARN>-new:$LATEST doesn't have an EventInvokeConfig",
        )
        for operation, method in (
            ("GetFunctionEventInvokeConfig", "GET"),
            ("DeleteFunctionEventInvokeConfig", "DELETE"),
        )
    ),
    _nothing(
        "nothing is set of an alias that is not there",
        "GetFunctionEventInvokeConfig",
        _QUEUE,
        ("GET", f"{EVENTS}?Qualifier=doesnotexist", None),
        "The function <ARN>:doesnotexist doesn't have an EventInvokeConfig",
    ),
    _nothing(
        "what is not set is changed",
        "UpdateFunctionEventInvokeConfig",
        _QUEUE,
        ("POST", EVENTS, {"MaximumRetryAttempts": 1}),
        "The function <ARN>:$LATEST doesn't have an EventInvokeConfig",
    ),
    _invalid(
        "a destination that is not there",
        "PutFunctionEventInvokeConfig",
        _QUEUE,
        ("PUT", EVENTS, {"DestinationConfig": {"OnSuccess": {"Destination": "<ARN>-new"}}}),
        "The destination ARN <ARN>-new is invalid.",
    ),
    _invalid(
        "the function as its own destination",
        "PutFunctionEventInvokeConfig",
        _QUEUE,
        ("PUT", EVENTS, {"DestinationConfig": {"OnSuccess": {"Destination": "<ARN>"}}}),
        "You can't specify the function as a destination for itself.",
    ),
    _invalid(
        "a destination of a service that takes none",
        "PutFunctionEventInvokeConfig",
        _QUEUE,
        (
            "PUT",
            EVENTS,
            {
                "DestinationConfig": {
                    "OnSuccess": {"Destination": "arn:aws:iam:<REGION>:<ACCOUNT>:function:<F>"}
                }
            },
        ),
        "The provided destination config DestinationConfig(onSuccess=OnSuccess(destination="
        "arn:aws:iam:<REGION>:<ACCOUNT>:function:<F>), onFailure=null) is invalid.",
    ),
    _violated(
        "a destination that is no ARN",
        "PutFunctionEventInvokeConfig",
        _QUEUE,
        (
            "PUT",
            EVENTS,
            {"DestinationConfig": {"OnFailure": {"Destination": "arn:aws:_-/!lambda:x"}}},
        ),
        f"{_ONE}Value 'arn:aws:_-/!lambda:x' at 'destinationConfig.onFailure.destination' failed to "
        "satisfy constraint: Member must satisfy regular expression pattern: ",
        begins=True,
    ),
    SetUpVector(
        name="a function as destination",
        operation="PutFunctionEventInvokeConfig",
        source=_QUEUE,
        sent=("PUT", EVENTS, {"DestinationConfig": {"OnSuccess": {"Destination": "<ARN>-new"}}}),
        before=(_create(),),
        says={
            "DestinationConfig": {"OnFailure": {}, "OnSuccess": {"Destination": "<ARN>-new"}},
            "FunctionArn": "<ARN>:$LATEST",
        },
    ),
    SetUpVector(
        name="a destination without an ARN",
        operation="PutFunctionEventInvokeConfig",
        source=_QUEUE,
        sent=("PUT", EVENTS, {"DestinationConfig": {"OnSuccess": {}}}),
        says={"DestinationConfig": {"OnFailure": {}, "OnSuccess": {}}},
    ),
]

PERMISSIONS_AND_TAGS = [
    SetUpVector(
        name="two permissions, in their order",
        operation="GetPolicy",
        source=f"{_DAY}test_create_multiple_lambda_permissions",
        sent=("GET", f"{F}/policy", None),
        before=(_permission("logs"), _permission("kinesis")),
        says={
            "Policy": '{"Version":"2012-10-17","Id":"default","Statement":['
            f"{_statement('logs')},{_statement('kinesis')}]}}"
        },
    ),
    _nothing(
        "a permission that is not there",
        "RemovePermission",
        _PERMISSIONS,
        ("DELETE", f"{F}/policy/non-existent", None),
        "Statement non-existent is not found in resource policy.",
        before=(_permission("s3"),),
    ),
    _nothing(
        "the last permission was removed",
        "GetPolicy",
        _PERMISSIONS,
        ("GET", f"{F}/policy", None),
        "The resource you requested does not exist.",
        before=(_permission("s3"), ("DELETE", f"{F}/policy/s3", None)),
    ),
    _outdated(
        "RemovePermission",
        f"{_DAY}test_function_revisions_permissions",
        ("DELETE", f"{F}/policy/s3?RevisionId={_OLD}", None),
        before=(_permission("s3"),),
    ),
    *(
        _nothing(
            "tags of a function that is not there",
            operation,
            f"{_DAY}test_tag_nonexisting_resource",
            (method, f"{TAGS}-new{query}", members),
            "Function not found: <ARN>-new",
        )
        for operation, method, query, members in (
            ("TagResource", "POST", "", {"Tags": {"A": "b"}}),
            ("UntagResource", "DELETE", "?tagKeys=A", None),
            ("ListTags", "GET", "", None),
        )
    ),
    SetUpVector(
        name="a tag that is set anew",
        operation="ListTags",
        source=f"{_DAY}test_tag_lifecycle",
        sent=("GET", TAGS, None),
        before=(
            ("POST", TAGS, {"Tags": {"A": "tag-a", "C": "tag-c"}}),
            ("POST", TAGS, {"Tags": {"C": "tag-c-newsuffix"}}),
        ),
        says={"Tags": {"A": "tag-a", "C": "tag-c-newsuffix"}},
    ),
]

LAYERS = [
    SetUpVector(
        name="a layer",
        operation="PublishLayerVersion",
        source=f"{_DAY}test_layer_lifecycle",
        sent=_LAYER_OF_CATS,
        status=201,
        says={
            "CompatibleArchitectures": ["x86_64"],
            "CompatibleRuntimes": ["python3.13"],
            "Description": "",
            "LayerArn": "<LAYER>",
            "LayerVersionArn": "<LAYER>:1",
            "LicenseInfo": "MIT",
            "Version": 1,
        },
    ),
    SetUpVector(
        name="numbers go on where versions were deleted",
        operation="PublishLayerVersion",
        source=f"{_DAY}test_layer_lifecycle",
        sent=_LAYER_OF_CATS,
        before=(_LAYER_OF_CATS, _LAYER_OF_CATS, ("DELETE", f"{LAYER}/2", None)),
        status=201,
        says={"Version": 3},
    ),
    SetUpVector(
        name="all versions were deleted",
        operation="ListLayerVersions",
        source=f"{_DAY}test_layer_lifecycle",
        sent=("GET", LAYER, None),
        before=(_LAYER_OF_CATS, ("DELETE", f"{LAYER}/1", None)),
        says={"LayerVersions": []},
    ),
    _invalid(
        "six layers",
        "CreateFunction",
        f"{_DAY}test_layer_function_quota_exception",
        _layered(*(f"<LAYER>{number}:1" for number in range(6))),
        "Cannot reference more than 5 layers.",
    ),
    _invalid(
        "two versions of a layer",
        "CreateFunction",
        _LAYERS,
        _layered("<LAYER>:1", "<LAYER>:2"),
        "Two different versions of the same layer are not allowed to be referenced in the same "
        "function. <LAYER>:1 and <LAYER>:2 are versions of the same layer.",
        before=(_LAYER_OF_CATS, _LAYER_OF_CATS),
    ),
    _invalid(
        "a layer twice",
        "CreateFunction",
        _LAYERS,
        _layered("<LAYER>:1", "<LAYER>:1"),
        "Two different versions of the same layer are not allowed to be referenced in the same "
        "function. <LAYER>:1 and <LAYER>:1 are versions of the same layer.",
        before=(_LAYER_OF_CATS,),
    ),
    _invalid(
        "a layer that is not there",
        "CreateFunction",
        _LAYERS,
        _layered("<LAYER>:9"),
        "Layer version <LAYER>:9 does not exist.",
    ),
    _violated(
        "a layer without its version",
        "CreateFunction",
        _LAYERS,
        _layered("<LAYER>"),
        f"{_ONE}Value '[<LAYER>]' at 'layers' failed to satisfy constraint: Member must satisfy "
        "constraint: [Member must have length less than or equal to 140, Member must have length "
        "greater than or equal to 1, Member must satisfy regular expression pattern: ",
        begins=True,
    ),
    _invalid(
        "a layer of another region",
        "CreateFunction",
        _LAYERS,
        _layered("arn:aws:lambda:xx-nowhere-1:<ACCOUNT>:layer:cats:1"),
        "Layers are not in the same region as the function. Layers are expected to be in region "
        "<REGION>.",
    ),
]

NOT_HERE = [
    _invalid(
        "SnapStart for a runtime without it",
        "CreateFunction",
        f"{_DAY}test_snapstart_exceptions",
        _create(Runtime="python3.9", SnapStart={"ApplyOn": "PublishedVersions"}),
        "python3.9 is not supported for SnapStart enabled functions.",
    ),
    _violated(
        "SnapStart for what is none",
        "CreateFunction",
        f"{_DAY}test_snapstart_exceptions",
        _create(SnapStart={"ApplyOn": "invalidOption"}),
        f"{_ONE}Value 'invalidOption' at 'snapStart.applyOn' failed to satisfy constraint: Member "
        "must satisfy enum value set: [PublishedVersions, None]",
    ),
    _refused(
        "no provisioned concurrency",
        "GetProvisionedConcurrencyConfig",
        _PROVISIONED,
        ("GET", f"{PROVISIONED}?Qualifier=1", None),
        404,
        "ProvisionedConcurrencyConfigNotFoundException",
        "No Provisioned Concurrency Config found for this function",
        before=(_PUBLISH,),
    ),
    _nothing(
        "provisioned concurrency of an alias that is not there",
        "GetProvisionedConcurrencyConfig",
        _PROVISIONED,
        ("GET", f"{PROVISIONED}?Qualifier=noalias", None),
        "Cannot find alias arn: <ARN>:noalias",
    ),
    _nothing(
        "provisioned concurrency of a version that is not there",
        "GetProvisionedConcurrencyConfig",
        _PROVISIONED,
        ("GET", f"{PROVISIONED}?Qualifier=10", None),
        "Function not found: <ARN>:10",
    ),
    _invalid(
        "provisioned concurrency of $LATEST",
        "GetProvisionedConcurrencyConfig",
        _PROVISIONED,
        ("GET", f"{PROVISIONED}?Qualifier=$LATEST", None),
        "The function resource provided must be an alias or a published version.",
    ),
    SetUpVector(
        name="no provisioned concurrency at all",
        operation="ListProvisionedConcurrencyConfigs",
        source=_PROVISIONED,
        sent=("GET", f"{PROVISIONED}?List=ALL", None),
        says={"ProvisionedConcurrencyConfigs": []},
    ),
    _nothing(
        "provisioned concurrency of a function that is not there",
        "ListProvisionedConcurrencyConfigs",
        _PROVISIONED,
        ("GET", f"{PROVISIONED}?List=ALL".replace("<F>", "<F>-new"), None),
        "Function not found: <ARN>-new",
    ),
]

PARTS = [*VERSIONS_AND_ALIASES, *CONCURRENCY_AND_EVENTS, *PERMISSIONS_AND_TAGS, *LAYERS, *NOT_HERE]
