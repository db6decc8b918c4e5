"""The parameters: AWS's options, checked before anything is sent."""

import base64
import math
from dataclasses import replace
from typing import Any

import pytest

from asyncinvoke._engine.calls import Calls, Defaults, check_timeout, item_options
from asyncinvoke._engine.options import InvokeOptions
from asyncinvoke._model.response import decode_json
from asyncinvoke._request.parameters import InvokeParameters, checked
from asyncinvoke._request.request import InvocationType, LogType, Request
from asyncinvoke._request.target import Target
from asyncinvoke._retries.policy import RetryPolicy
from asyncinvoke.errors import InvalidRequestError


def test_the_payload_of_a_request_needs_no_name_and_its_options_do() -> None:
    assert Request({"key": "a"}, timeout=5) == Request(payload={"key": "a"}, timeout=5)
    with pytest.raises(TypeError, match="positional"):
        Request({"key": "a"}, "key")  # type: ignore[call-arg]


def test_names_as_aws_spells_them_become_members() -> None:
    parameters = checked("resize", invocation_type="Event", log_type="Tail")
    assert parameters.invocation_type is InvocationType.EVENT
    assert parameters.log_type is LogType.TAIL


CALLS = Calls(Defaults(decode=decode_json, retry=RetryPolicy()))


@pytest.mark.parametrize("value", ["event", "EVENT", "", None, 7, True])
@pytest.mark.parametrize("option", ["invocation_type", "log_type"])
def test_a_name_that_aws_does_not_know_is_refused(option: str, value: Any) -> None:
    with pytest.raises(InvalidRequestError, match=f"{option} .* is not one of") as caught:
        checked("resize", **{option: value})
    assert f"{option} {value!r} is" in str(caught.value)


@pytest.mark.parametrize("tenant_id", ["a", "t" * 256, "a b._:/=+-@Z9"])
def test_a_tenant_id_may_be_what_the_service_model_says(tenant_id: str) -> None:
    assert checked("resize", tenant_id=tenant_id).tenant_id == tenant_id


# Servers strip whitespace around header values, so " a" would be another tenant, "a".
BLANK = [" a", "a ", " a ", " ", "\ta", "a\t", "a\tb", "\u00a0a", "a\r\n", "a\x00", " " * 256]


@pytest.mark.parametrize("tenant_id", ["", "t" * 257, "a\n", "a#b", "\u00e9", 7, True, *BLANK])
def test_any_other_tenant_id_is_refused(tenant_id: Any) -> None:
    with pytest.raises(InvalidRequestError, match=r"tenant_id .* must be 1 to 256") as caught:
        checked("resize", tenant_id=tenant_id)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("name", ["", "n" * 65, "a b", "a.b", "a\n", 7])
def test_a_durable_execution_name_must_be_one(name: Any) -> None:
    with pytest.raises(InvalidRequestError, match=r"durable_execution_name .* must be 1 to 64"):
        checked("resize", durable_execution_name=name)


OPTIONS = {
    "qualifier": "qualifier .* must be a string of 1 to 128 characters",
    "invocation_type": "invocation_type .* is not one of RequestResponse, Event, DryRun",
    "log_type": "log_type .* is not one of None, Tail",
    "client_context": "client_context must be a mapping, not",
    "tenant_id": "tenant_id .* must be 1 to 256",
    "durable_execution_name": "durable_execution_name .* must be 1 to 64",
    "timeout": "timeout .* must be a number of seconds above 0",
    "idempotent": "idempotent .* must be True or False",
    "raise_on_function_error": "raise_on_function_error .* must be True or False",
    "retry": "retry .* must be a RetryPolicy",
    "function_name": "function_name must be a string, not",
}
SECRET = "correct-horse"


@pytest.mark.parametrize(
    "value",
    [[SECRET], object(), b"live", {SECRET}, -(10**5000)],
    ids=["list", "object", "bytes", "set", "very many digits"],
)
@pytest.mark.parametrize("option", OPTIONS)
def test_a_value_of_a_wrong_type_is_refused_by_option_and_rule(option: str, value: Any) -> None:
    options = {"function_name": "resize", option: value}
    function_name = options.pop("function_name")
    with pytest.raises(InvalidRequestError, match=OPTIONS[option]) as caught:
        CALLS.check(function_name, options)
    assert SECRET not in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("value", ["false", "true", "", 0, 1])
@pytest.mark.parametrize("option", ["idempotent", "raise_on_function_error"])
def test_a_flag_is_true_or_false_and_nothing_else(option: str, value: Any) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        CALLS.check("resize", {option: value})
    assert str(caught.value) == f"{option} {value!r} must be True or False"


@pytest.mark.parametrize(
    ("timeout", "seconds"),
    [(None, math.inf), (7, 7.0), (0.5, 0.5), (math.inf, math.inf), (10**400, math.inf)],
)
def test_a_timeout_is_a_number_of_seconds_or_no_end(
    timeout: float | None, seconds: float | None
) -> None:
    assert check_timeout(timeout) == seconds


@pytest.mark.parametrize("timeout", [0, -1, math.nan, "7", True, -(10**400)])
def test_any_other_timeout_is_refused(timeout: Any) -> None:
    with pytest.raises(
        InvalidRequestError, match=r"timeout .* must be a number of seconds above 0"
    ):
        check_timeout(timeout)


ARN = "arn:aws:lambda:eu-west-1:123456789012:function:resize"
SPELLINGS = [
    "resize",
    "function:resize",
    "123456789012:resize",
    "123456789012:function:resize",
    "eu-west-1:123456789012:function:resize",
    ARN,
]


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("own", SPELLINGS)
def test_an_item_that_names_the_maps_own_function_keeps_its_qualifier(
    own: str, spelling: str
) -> None:
    assert qualifier_of(Request(function_name=spelling), own, "live") == "live"
    assert qualifier_of(Request(function_name=spelling), f"{own}:live") == "live"
    assert qualifier_of(Request(function_name=spelling, qualifier="7"), own, "live") == "7"
    assert qualifier_of(Request(function_name=f"{spelling}:7"), own, "live") == "7"
    assert qualifier_of(Request(function_name=spelling), own) is None


@pytest.mark.parametrize(
    "other",
    [
        "thumb",
        ARN.replace("eu-west-1", "us-east-1"),
        ARN.replace("123456789012", "210987654321"),
        "210987654321:resize",
    ],
)
def test_an_item_that_names_another_function_does_not(other: str) -> None:
    assert qualifier_of(Request(function_name=other), ARN, "live") is None


def qualifier_of(request: Request, function_name: str, qualifier: str | None = None) -> str | None:
    options: InvokeOptions = {"qualifier": qualifier}
    name, merged = item_options(function_name, options, request)
    return CALLS.check(name, merged).parameters.target.qualifier


@pytest.mark.parametrize("qualifier", [None, "live"])
def test_an_item_that_names_an_empty_function_is_refused_and_not_the_maps(
    qualifier: str | None,
) -> None:
    with pytest.raises(InvalidRequestError, match="function_name '' has 0 characters"):
        qualifier_of(Request(function_name="", qualifier=qualifier), "resize")


def test_no_repr_shows_a_payload_or_a_client_context() -> None:
    context = {"token": SECRET}
    request = Request(payload=SECRET, client_context=context, tenant_id="blue")
    call = CALLS.check("resize", {"client_context": context})
    sent = base64.b64encode(SECRET.encode()).decode()[:8]
    for shown in (repr(request), repr(call), repr(call.parameters)):
        assert SECRET not in shown
        assert sent not in shown
        assert "client_context" not in shown
    assert "blue" in repr(request)


def test_only_what_lambda_makes_harmless_is_repeatable() -> None:
    assert not checked("resize").repeatable
    assert not checked("resize", invocation_type="Event").repeatable
    assert checked("resize", invocation_type="DryRun").repeatable
    assert checked("resize", durable_execution_name="n" * 64).repeatable


@pytest.mark.parametrize("field", InvokeParameters.__dataclass_fields__)
def test_a_journal_knows_a_request_by_all_that_is_sent_but_the_log_type(field: str) -> None:
    plain = checked("resize")
    changed: dict[str, Any] = {field: Target.parse("crop") if field == "target" else "other"}
    same = replace(plain, **changed).identity() == plain.identity()
    assert same == (field == "log_type")
