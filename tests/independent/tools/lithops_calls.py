"""Run by `try_all.py` in the environment of Lithops: maps, failures, runtimes, clean-up.

Lithops hard-codes Lambda's host in Invoke, so this request is redirected to the endpoint here.
"""

import os
import sys
from typing import Any

import boto3
import lithops
from botocore.awsrequest import AWSRequest
from lithops.serverless.backends.aws_lambda import aws_lambda

ENDPOINT = os.environ["AWS_ENDPOINT_URL_LAMBDA"]
HARD_CODED = "https://lambda.us-east-1.amazonaws.com"
BUCKET = "lithops-demo"
KEYS = {"access_key_id": "testing", "secret_access_key": "testing", "region": "us-east-1"}
CONFIG = {
    "lithops": {"backend": "aws_lambda", "storage": "aws_s3"},
    "aws": KEYS,
    "aws_lambda": {
        "execution_role": "arn:aws:iam::123456789012:role/any",
        "account_id": "123456789012",
        "user_id": "AIDACKCEVSQ6C2EXAMPLE",
        "runtime_memory": 512,
    },
    "aws_s3": {"storage_bucket": BUCKET},
}


def redirected(*, url: str, headers: dict[str, str], **members: Any) -> AWSRequest:
    """Redirect a request to the endpoint."""
    others = {name: value for name, value in headers.items() if name != "Host"}
    return AWSRequest(url=url.replace(HARD_CODED, ENDPOINT), headers=others, **members)


def double(number: int) -> int:
    """Run in Lithops's worker, on the endpoint."""
    return 2 * number


def fail(number: int) -> None:
    """Fail there."""
    raise LookupError(f"no {number}")


def main() -> None:
    """Use Lithops as its users do."""
    aws_lambda.AWSRequest = redirected
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    with lithops.FunctionExecutor(config=CONFIG) as executor:
        futures = executor.map(double, range(12))
        assert executor.get_result(futures) == [2 * number for number in range(12)]
        told = None
        try:
            executor.get_result(executor.call_async(fail, 7))
        except LookupError as error:
            told = str(error)
        assert told == "no 7", told
        backend = executor.compute_handler.backend
        assert len(backend.list_runtimes()) == 1
        backend.clean()
        assert backend.list_runtimes() == []
        assert backend._list_layers() == []
    sys.stdout.write("all well\n")


if __name__ == "__main__":
    main()
