"""The parameters: AWS's options, checked before anything is sent."""

from typing import Any

import pytest

from asyncinvoke._request.parameters import checked
from asyncinvoke._request.request import InvocationType, LogType
from asyncinvoke.errors import InvalidRequestError


def test_names_as_aws_spells_them_become_members() -> None:
    parameters = checked("resize", invocation_type="Event", log_type="Tail")
    assert parameters.invocation_type is InvocationType.EVENT
    assert parameters.log_type is LogType.TAIL


@pytest.mark.parametrize("value", ["event", "EVENT", "", None, 7, [], InvocationType])
@pytest.mark.parametrize("option", ["invocation_type", "log_type"])
def test_a_name_that_aws_does_not_know_is_refused(option: str, value: Any) -> None:
    with pytest.raises(InvalidRequestError, match=f"{option} .* is not one of") as caught:
        checked("resize", **{option: value})
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize("tenant_id", ["a", "t" * 256, "a b._:/=+-@Z9"])
def test_a_tenant_id_may_be_what_the_service_model_says(tenant_id: str) -> None:
    assert checked("resize", tenant_id=tenant_id).tenant_id == tenant_id


@pytest.mark.parametrize("tenant_id", ["", "t" * 257, "a\n", "a#b", "\u00e9", 7])
def test_any_other_tenant_id_is_refused(tenant_id: Any) -> None:
    with pytest.raises(InvalidRequestError, match=r"tenant_id .* must be 1 to 256") as caught:
        checked("resize", tenant_id=tenant_id)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("name", ["", "n" * 65, "a b", "a.b", "a\n", 7])
def test_a_durable_execution_name_must_be_one(name: Any) -> None:
    with pytest.raises(InvalidRequestError, match=r"durable_execution_name .* must be 1 to 64"):
        checked("resize", durable_execution_name=name)


def test_only_what_lambda_makes_harmless_is_repeatable() -> None:
    assert not checked("resize").repeatable
    assert not checked("resize", invocation_type="Event").repeatable
    assert checked("resize", invocation_type="DryRun").repeatable
    assert checked("resize", durable_execution_name="n" * 64).repeatable
