"""The recorded answers of the service to accepted requests, and the headers of all answers."""

from .vector import Call, Vector

ARN = "arn:aws:lambda:us-east-1:123456789012:function:"

EVENT = {"X-Amz-Invocation-Type": "Event"}
DRY_RUN = {"X-Amz-Invocation-Type": "DryRun"}

UPDATE = ("PUT", "/2015-03-31/functions/f/configuration", b'{"Timeout":5}')
SLOW = {"settling_time": 600}

EVERY = {"x-amzn-RequestId": "<id>", "Date": "<date>", "Connection": "keep-alive"}
_TRACED = {
    **EVERY,
    "x-amzn-Remapped-Content-Length": "0",
    "X-Amzn-Trace-Id": "root=1-<hex8>-<hex24>;sampled=0",
}
ACCEPTED = {**_TRACED, "Content-Length": "0"}
SUCCESS = {
    **_TRACED,
    "Content-Type": "application/json",
    "Content-Length": "<number>",
    "X-Amz-Executed-Version": "$LATEST",
}
STREAM = {
    **EVERY,
    "X-Amzn-Trace-Id": "root=1-<hex8>-<hex24>;sampled=0",
    "Content-Type": "application/vnd.amazon.eventstream",
    "Transfer-Encoding": "chunked",
    "X-Amz-Executed-Version": "$LATEST",
}

SUCCESSES = [
    Vector(
        name="success",
        source="SEEN 2019 to 2024",
        status=200,
        headers=SUCCESS,
        body='{"b":[1,null,"ä"],"a":{}}',
        call=Call(body='{"b": [1, null, "ä"], "a": {}}'.encode(), kinds=("callable", "process")),
    ),
    Vector(
        name="a handler that returns None, without a payload",
        source="REC 2025-11-24",
        status=200,
        headers=SUCCESS,
        body="null",
        call=Call(handler="nothing", kinds=("callable", "process")),
    ),
    Vector(
        name="no payload",
        source="REC, by way of localstack's lambda_service",
        status=200,
        headers=SUCCESS,
        body="{}",
        call=Call(),
    ),
    Vector(
        name="the request id is the handler's",
        source="REC",
        status=200,
        headers=SUCCESS,
        body=f'["<id>","{ARN}f"]',
        call=Call(handler="tells", kinds=("callable", "process")),
    ),
    Vector(
        name="a version",
        source="REC",
        status=200,
        headers={**SUCCESS, "X-Amz-Executed-Version": "1"},
        body=f'["<id>","{ARN}f:1"]',
        call=Call(handler="tells", qualifier="1"),
    ),
    Vector(
        name="an alias",
        source="REC",
        status=200,
        headers={**SUCCESS, "X-Amz-Executed-Version": "1"},
        body=f'["<id>","{ARN}f:live"]',
        call=Call(handler="tells", name="f:live", kinds=("callable", "process")),
    ),
    Vector(
        name="a function that is being updated",
        source="REC 2025-11-24, test_lambda_versions_with_code_changes; MODEL, "
        "UpdateFunctionConfiguration: you can still invoke it",
        status=200,
        headers=SUCCESS,
        body=f'["<id>","{ARN}f"]',
        call=Call(handler="tells", endpoint=SLOW, before=(UPDATE,), kinds=("callable", "process")),
    ),
    Vector(
        name="an Event",
        source="REC 2025-11-24",
        status=202,
        headers=ACCEPTED,
        call=Call(headers=EVENT, body=b"{}"),
    ),
    Vector(
        name="an Event of a function whose reserve is 0",
        source="REC 2025-11-24/25",
        status=202,
        headers=ACCEPTED,
        call=Call(headers=EVENT, options={"reserved_concurrency": 0}),
    ),
    Vector(
        name="an Event whose log is asked for",
        source="REC",
        status=202,
        headers=ACCEPTED,
        call=Call(headers={**EVENT, "X-Amz-Log-Type": "Tail"}),
    ),
    Vector(
        name="an Event while its function is updated",
        source="REC 2025-11-24..27",
        status=202,
        headers=ACCEPTED,
        call=Call(headers=EVENT, endpoint=SLOW, before=(UPDATE,)),
    ),
    Vector(
        name="a dry run",
        source="REC 2023-04-26",
        status=204,
        headers=_TRACED,
        call=Call(headers=DRY_RUN),
    ),
    Vector(
        name="an active trace",
        source="SEEN",
        status=200,
        headers={
            **SUCCESS,
            "X-Amzn-Trace-Id": "root=1-<hex8>-<hex24>;parent=0123456789abcdef;sampled=1;lineage=<hex8>:0",
        },
        body="1",
    ),
    Vector(
        name="a custom runtime's content type",
        source="SEEN",
        status=200,
        headers={**SUCCESS, "Content-Type": "application/octet-stream"},
        body="1",
    ),
]
