"""The table from throttle reason to limit agrees with the service model and the classifier."""

import pytest
from botocore.session import Session

from asyncinvoke._model.failure import LIMIT_OF_REASON, Failure, ThrottleReason
from asyncinvoke._retries.classify import classify


def test_every_reason_of_the_service_model_is_in_the_table_and_no_other() -> None:
    model = Session().get_service_model("lambda")
    modelled = set(model.shape_for("ThrottleReason").enum)
    assert {str(reason) for reason in LIMIT_OF_REASON} == modelled | {"Unknown"}


@pytest.mark.parametrize("reason", ThrottleReason)
def test_what_is_slowed_down_is_what_the_error_names(reason: ThrottleReason) -> None:
    failure = Failure(status_code=429, code="TooManyRequestsException", reason=str(reason))
    assert classify(failure, now=0.0).scope is LIMIT_OF_REASON[reason].scope
