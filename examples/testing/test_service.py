"""The service, through its own lifespan, against an endpoint in the process of the tests."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from service import app

from asyncinvoke.local import LocalLambda, Reset, function_error, throttle
from asyncinvoke.testing import NoWaits


def price(event: dict[str, int], context: Any) -> dict[str, int]:
    if event["items"] < 0:
        raise ValueError("items must not be negative")
    return {"total": event["items"] * 3}


@pytest.fixture
def client(
    local_lambda: LocalLambda, lambda_environment: dict[str, str], no_waits: NoWaits
) -> Iterator[TestClient]:
    local_lambda.function("price", price)
    with TestClient(app) as client:  # runs the lifespan, which opens the invoker
        yield client


def test_an_order_has_a_price(client: TestClient, local_lambda: LocalLambda) -> None:
    answer = client.post("/orders", json={"items": 14})
    assert (answer.status_code, answer.json()) == (200, {"total": 42})
    assert [request.json() for request in local_lambda.requests] == [{"items": 14}]


def test_what_the_function_refuses_is_the_customers_to_correct(client: TestClient) -> None:
    answer = client.post("/orders", json={"items": -1})
    assert answer.status_code == 422
    assert answer.json()["detail"] == "items must not be negative"


def test_a_function_that_timed_out_is_no_fault_of_the_customers(
    client: TestClient, local_lambda: LocalLambda
) -> None:
    local_lambda.fault(function_error("Sandbox.Timedout", "Task timed out after 3.00 seconds"))
    answer = client.post("/orders", json={"items": 1})
    assert (answer.status_code, answer.json()) == (502, {"detail": "no price"})


def test_a_throttle_or_two_pass_unnoticed(client: TestClient, local_lambda: LocalLambda) -> None:
    local_lambda.fault(throttle(), count=2)
    assert client.post("/orders", json={"items": 1}).status_code == 200
    assert local_lambda.statistics().invocations == 3


def test_a_throttle_that_stays_is_503(
    client: TestClient, local_lambda: LocalLambda, no_waits: NoWaits
) -> None:
    local_lambda.fault(throttle(retry_after="2"))
    answer = client.post("/orders", json={"items": 1})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert local_lambda.statistics().invocations == 3
    assert sum(no_waits.slept) >= 4  # seconds, and the test took none of them


def test_a_price_whose_answer_was_lost_is_asked_for_again(
    client: TestClient, local_lambda: LocalLambda
) -> None:
    lost = local_lambda.fault(Reset(), count=1, after_run=True)
    assert client.post("/orders", json={"items": 1}).status_code == 200
    assert lost.played == 1
    assert local_lambda.statistics().functions["price"].executions == 2
