"""The recorded answers of the operations that set functions up.

Each is made on an endpoint that has the function `f`, created from a zip and active, and nothing else.
In paths, members and answers `<F>` stands for its name, `<ARN>` for its ARN, `<REGION>` and `<ACCOUNT>`
for where it is, `<ROLE>` for its role, `<ZIP>` for its code in base64. The facts are from LocalStack's
snapshots of AWS (localstack/localstack, tests/aws/services/lambda_/test_lambda_api.snapshot.json), each
with the test and the day; they are written here in this file's own form.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FUNCTIONS = "/2015-03-31/functions"
F = f"{FUNCTIONS}/<F>"
EVENTS = "/2019-09-25/functions/<F>/event-invoke-config"
TAGS = "/2017-03-31/tags/<ARN>"
Sent = tuple[str, str, Mapping[str, Any] | None]
"""Method, path, members of the body."""


@dataclass(frozen=True, kw_only=True)
class SetUpVector:
    """One answer of an operation that is not Invoke."""

    name: str
    """The name of the case."""
    operation: str
    """The operation that returned this answer."""
    source: str
    """Where it is from: REC with the test and the day, DOC, or GUESS."""
    sent: Sent
    """The request."""
    before: tuple[Sent, ...] = ()
    """Requests to send first."""
    status: int = 200
    """The HTTP status."""
    code: str | None = None
    """AWS's error code."""
    says: Mapping[str, Any] = field(default_factory=dict)
    """Members of the answer; of an error all of them."""
    says_not: tuple[str, ...] = ()
    """Members that the answer does not have."""
    begins: bool = False
    """Whether texts are only prefixes of the actual ones."""


def _create(**changed: Any) -> Sent:
    members = {
        "FunctionName": "<F>-new",
        "Runtime": "python3.13",
        "Role": "<ROLE>",
        "Handler": "functions.echo",
        "Code": {"ZipFile": "<ZIP>"},
        **changed,
    }
    return "POST", FUNCTIONS, {k: v for k, v in members.items() if v is not None}


def _refused(
    name: str,
    operation: str,
    source: str,
    sent: Sent,
    status: int,
    code: str,
    message: str,
    *,
    key: str = "message",
    typed: bool = True,
    before: tuple[Sent, ...] = (),
    begins: bool = False,
) -> SetUpVector:
    says = {key: message} | ({"Type": "User"} if typed else {})
    return SetUpVector(
        name=name,
        operation=operation,
        source=source,
        sent=sent,
        before=before,
        status=status,
        code=code,
        says=says,
        begins=begins,
    )


def _invalid(name: str, operation: str, source: str, sent: Sent, message: str, **more: Any) -> Any:
    code = "InvalidParameterValueException"
    return _refused(name, operation, source, sent, 400, code, message, **more)


def _violated(name: str, operation: str, source: str, sent: Sent, message: str, **more: Any) -> Any:
    code = "ValidationException"
    return _refused(name, operation, source, sent, 400, code, message, typed=False, **more)


def _nothing(name: str, operation: str, source: str, sent: Sent, message: str, **more: Any) -> Any:
    code = "ResourceNotFoundException"
    return _refused(name, operation, source, sent, 404, code, message, key="Message", **more)


_ONE = "1 validation error detected: "
_NOT_CONFIGURED = (
    "Lambda was unable to configure your environment variables because the environment variables "
    "you have provided "
)
_S = "REC 2023-11-20, "
_DESTINATIONS: dict[str, Any] = {"OnFailure": {}, "OnSuccess": {}}

CREATION = [
    SetUpVector(
        name="a function that says no more than it must",
        operation="CreateFunction",
        source=f"{_S}test_lambda_code_location_s3",
        sent=_create(),
        status=201,
        says={
            "Architectures": ["x86_64"],
            "Description": "",
            "EphemeralStorage": {"Size": 512},
            "MemorySize": 128,
            "PackageType": "Zip",
            "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
            "State": "Pending",
            "StateReason": "The function is being created.",
            "StateReasonCode": "Creating",
            "Timeout": 3,
            "TracingConfig": {"Mode": "PassThrough"},
            "Version": "$LATEST",
        },
        says_not=("Environment", "VpcConfig", "LastUpdateStatus", "Layers", "DeadLetterConfig"),
    ),
    SetUpVector(
        name="an empty environment is told as one",
        operation="CreateFunction",
        source="REC 2024-03-27, test_function_lifecycle",
        sent=_create(Environment={"Variables": {}}),
        status=201,
        says={"Environment": {"Variables": {}}},
    ),
    SetUpVector(
        name="settings are told back as they were asked for",
        operation="CreateFunction",
        source="MODEL, FunctionConfiguration; LoggingConfig REC, TestLoggingConfig",
        sent=_create(
            Architectures=["arm64"],
            EphemeralStorage={"Size": 1024},
            TracingConfig={"Mode": "Active"},
            LoggingConfig={"LogFormat": "JSON"},
        ),
        status=201,
        says={
            "Architectures": ["arm64"],
            "EphemeralStorage": {"Size": 1024},
            "TracingConfig": {"Mode": "Active"},
            "LoggingConfig": {
                "LogFormat": "JSON",
                "LogGroup": "/aws/lambda/<F>-new",
                "ApplicationLogLevel": "INFO",
                "SystemLogLevel": "INFO",
            },
        },
    ),
    _violated(
        "a role that is none",
        "CreateFunction",
        "REC 2024-03-12, test_create_lambda_exceptions",
        _create(Role="r1"),
        f"{_ONE}Value 'r1' at 'role' failed to satisfy constraint: Member must satisfy regular "
        r"expression pattern: arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+",
    ),
    _violated(
        "no role",
        "CreateFunction",
        "REC 2025-11, by way of the endpoint's facts",
        _create(Role=None),
        f"{_ONE}Value null at 'role' failed to satisfy constraint: Member must not be null",
    ),
    _invalid(
        "a runtime that never was",
        "CreateFunction",
        "REC 2024-03-12, test_create_lambda_exceptions",
        _create(Runtime="python3.99"),
        "Value python3.99 at 'runtime' failed to satisfy constraint: Member must satisfy enum value "
        "set: [",
        begins=True,
    ),
    _invalid(
        "a runtime that is no more",
        "CreateFunction",
        "SEEN by many",
        _create(Runtime="python3.7"),
        "The runtime parameter of python3.7 is no longer supported for creating or updating AWS "
        "Lambda functions. We recommend you use ",
        begins=True,
    ),
    _invalid(
        "an environment of more than 4 KB",
        "CreateFunction",
        f"{_S}test_large_environment_variables_fails",
        _create(Environment={"Variables": {"LARGE": "x" * 4096}}),
        f'{_NOT_CONFIGURED}exceeded the 4KB limit. String measured: {{"LARGE":"{"x" * 4096}"}}',
    ),
    _invalid(
        "a variable that is reserved",
        "CreateFunction",
        "DOC, troubleshooting; SEEN by many",
        _create(Environment={"Variables": {"AWS_REGION": "here", "MINE": "1"}}),
        f"{_NOT_CONFIGURED}contains reserved keys that are currently not supported for modification. "
        "Reserved keys used in this request: AWS_REGION",
    ),
    _nothing(
        "an ARN of another region",
        "CreateFunction",
        "REC 2025-11, by way of the endpoint's facts",
        _create(FunctionName="arn:aws:lambda:xx-nowhere-1:<ACCOUNT>:function:g"),
        "Functions from 'xx-nowhere-1' are not reachable in this region ('<REGION>')",
    ),
    _violated(
        "a name with a dot",
        "CreateFunction",
        "MODEL, FunctionName",
        _create(FunctionName="my.function"),
        f"{_ONE}Value 'my.function' at 'functionName' failed to satisfy constraint: Member must "
        "satisfy regular expression pattern: (arn:",
        begins=True,
    ),
    _violated(
        "a name and qualifier of more than 140 characters",
        "CreateFunction",
        "REC 2025-11, by way of the endpoint's facts",
        _create(FunctionName="f:" + "q" * 139),
        f"{_ONE}Value 'f:{'q' * 139}' at 'functionName' failed to satisfy constraint: Member must "
        "have length less than or equal to 140",
    ),
    _refused(
        "a function that is there",
        "CreateFunction",
        "REC, test_create_lambda_exceptions",
        _create(FunctionName="<F>"),
        409,
        "ResourceConflictException",
        "Function already exist: <F>",
    ),
    _violated(
        "a list of no known kind",
        "ListFunctions",
        f"{_S}test_list_functions",
        ("GET", f"{FUNCTIONS}?FunctionVersion=invalid", None),
        f"{_ONE}Value 'invalid' at 'functionVersion' failed to satisfy constraint: Member must "
        "satisfy enum value set: [ALL]",
    ),
    _violated(
        "an alias that is a number",
        "CreateAlias",
        "REC 2024-02-13, test_alias_naming",
        ("POST", f"{F}/aliases", {"Name": "2024", "FunctionVersion": "$LATEST"}),
        f"{_ONE}Value '2024' at 'name' failed to satisfy constraint: Member must satisfy regular "
        "expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)",
    ),
    _nothing(
        "an alias that is not there is moved",
        "UpdateAlias",
        "REC 2023-11-20, test_notfound_and_invalid_routingconfigs",
        ("PUT", f"{F}/aliases/no", {"FunctionVersion": "$LATEST"}),
        "Alias not found: <ARN>:no",
    ),
    _nothing(
        "a reserve for a function that is not there",
        "PutFunctionConcurrency",
        f"{_S}test_function_concurrency_exceptions",
        (
            "PUT",
            "/2017-10-31/functions/<F>-new/concurrency",
            {"ReservedConcurrentExecutions": 1},
        ),
        "Function not found: <ARN>-new:$LATEST",
    ),
    _invalid(
        "a reserve for a version",
        "PutFunctionConcurrency",
        f"{_S}test_function_concurrency_exceptions",
        (
            "PUT",
            "/2017-10-31/functions/<F>%3A1/concurrency",
            {"ReservedConcurrentExecutions": 0},
        ),
        "This operation is permitted on Lambda functions only. Aliases and versions do not support "
        "this operation. Please specify either a function name or an unqualified function ARN.",
        before=(("POST", f"{F}/versions", {}),),
    ),
]

ATTACHED = [
    SetUpVector(
        name="no tags",
        operation="ListTags",
        source=f"{_S}test_tag_exceptions",
        sent=("GET", TAGS, None),
        says={"Tags": {}},
    ),
    SetUpVector(
        name="tags that were set",
        operation="ListTags",
        source=f"{_S}test_tag_lifecycle",
        sent=("GET", TAGS, None),
        before=(
            ("POST", TAGS, {"Tags": {"A": "b", "C": "d"}}),
            ("DELETE", f"{TAGS}?tagKeys=C", None),
        ),
        says={"Tags": {"A": "b"}},
    ),
    SetUpVector(
        name="a tag that is not there is removed",
        operation="UntagResource",
        source=f"{_S}test_tag_exceptions",
        sent=("DELETE", f"{TAGS}?tagKeys=not", None),
        status=204,
    ),
    _violated(
        "no tag to remove",
        "UntagResource",
        f"{_S}test_tag_exceptions",
        ("DELETE", TAGS, None),
        f"{_ONE}Value null at 'tagKeys' failed to satisfy constraint: Member must not be null",
    ),
    _invalid(
        "no tag to set",
        "TagResource",
        f"{_S}test_tag_exceptions",
        ("POST", TAGS, {"Tags": {}}),
        "An error occurred and the request cannot be processed.",
    ),
    _invalid(
        "more than 50 tags",
        "TagResource",
        f"{_S}test_tag_limits",
        ("POST", TAGS, {"Tags": {f"{n}_key": "v" for n in range(51)}}),
        "Number of tags exceeds resource tag limit.",
    ),
    _invalid(
        "tags of a version",
        "TagResource",
        f"{_S}test_tag_exceptions",
        ("POST", f"{TAGS}%3A$LATEST", {"Tags": {"A": "b"}}),
        "Tags on function aliases and versions are not supported. Please specify a function ARN.",
    ),
    _nothing(
        "no policy",
        "GetPolicy",
        f"{_S}test_lambda_permission_fn_versioning",
        ("GET", f"{F}/policy", None),
        "The resource you requested does not exist.",
    ),
    SetUpVector(
        name="a permission of a service",
        operation="AddPermission",
        source=f"{_S}test_lambda_permission_fn_versioning",
        sent=(
            "POST",
            f"{F}/policy",
            {
                "StatementId": "s3",
                "Action": "lambda:InvokeFunction",
                "Principal": "s3.amazonaws.com",
                "SourceArn": "arn:aws:s3:::cats",
            },
        ),
        status=201,
        says={
            "Statement": '{"Sid":"s3","Effect":"Allow","Principal":{"Service":"s3.amazonaws.com"},'
            '"Action":"lambda:InvokeFunction","Resource":"<ARN>","Condition":{"ArnLike":'
            '{"AWS:SourceArn":"arn:aws:s3:::cats"}}}'
        },
    ),
    _refused(
        "a permission of an older revision",
        "AddPermission",
        f"{_S}test_lambda_permission_fn_versioning",
        (
            "POST",
            f"{F}/policy",
            {
                "StatementId": "s3",
                "Action": "lambda:InvokeFunction",
                "Principal": "s3.amazonaws.com",
                "RevisionId": "00000000-0000-4000-8000-000000000000",
            },
        ),
        412,
        "PreconditionFailedException",
        "The Revision Id provided does not match the latest Revision Id. Call the "
        "GetFunction/GetAlias API to retrieve the latest Revision Id",
    ),
    _nothing(
        "no configuration of Events",
        "GetFunctionEventInvokeConfig",
        f"{_S}test_lambda_eventinvokeconfig_lifecycle",
        ("GET", EVENTS, None),
        "The function <ARN>:$LATEST doesn't have an EventInvokeConfig",
    ),
    SetUpVector(
        name="Events are not run again",
        operation="PutFunctionEventInvokeConfig",
        source=f"{_S}test_lambda_eventinvokeconfig_lifecycle",
        sent=("PUT", EVENTS, {"MaximumRetryAttempts": 0}),
        says={
            "DestinationConfig": _DESTINATIONS,
            "FunctionArn": "<ARN>:$LATEST",
            "MaximumRetryAttempts": 0,
        },
        says_not=("MaximumEventAgeInSeconds",),
    ),
    SetUpVector(
        name="put replaces what was set",
        operation="PutFunctionEventInvokeConfig",
        source=f"{_S}test_lambda_eventinvokeconfig_lifecycle",
        sent=("PUT", EVENTS, {"MaximumEventAgeInSeconds": 60}),
        before=(("PUT", EVENTS, {"MaximumRetryAttempts": 0}),),
        says={"MaximumEventAgeInSeconds": 60},
        says_not=("MaximumRetryAttempts",),
    ),
    SetUpVector(
        name="update keeps what it does not name",
        operation="UpdateFunctionEventInvokeConfig",
        source=f"{_S}test_lambda_eventinvokeconfig_lifecycle",
        sent=("POST", EVENTS, {"MaximumRetryAttempts": 1}),
        before=(("PUT", EVENTS, {"MaximumEventAgeInSeconds": 60}),),
        says={"MaximumEventAgeInSeconds": 60, "MaximumRetryAttempts": 1},
    ),
    _invalid(
        "nothing of Events is set",
        "PutFunctionEventInvokeConfig",
        f"{_S}test_lambda_eventinvokeconfig_exceptions",
        ("PUT", EVENTS, {}),
        "You must specify at least one of error handling or destination setting.",
    ),
    _nothing(
        "no function URL",
        "GetFunctionUrlConfig",
        "REC, by way of the endpoint's facts",
        ("GET", "/2021-10-31/functions/<F>/url", None),
        "The resource you requested does not exist.",
    ),
    SetUpVector(
        name="no code signing",
        operation="GetFunctionCodeSigningConfig",
        source=f"{_S}test_code_signing_not_found_excs",
        sent=("GET", "/2020-06-30/functions/<F>/code-signing-config", None),
    ),
    _nothing(
        "no such event source mapping",
        "GetEventSourceMapping",
        f"{_S}test_event_source_mapping_exceptions",
        ("GET", "/2015-03-31/event-source-mappings/00000000-0000-4000-8000-000000000000", None),
        "The resource you requested does not exist.",
    ),
]

SET_UP = [*CREATION, *ATTACHED]
