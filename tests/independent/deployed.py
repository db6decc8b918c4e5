"""Sets up the functions of `lambda_functions.py` on a server, using only boto3."""

import contextlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

REGION = "us-east-1"
ACCOUNT = "000000000000"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/tests"
FUNCTIONS = Path(__file__).with_name("lambda_functions.py")
QUICKLY = {"Delay": 0.1, "MaxAttempts": 300}

# The functions by name, each with its handler.
HANDLERS = {
    name: name
    for name in ("echo", "fail", "record", "hold", "nothing", "tell", "custom", "leave", "letters")
}
HANDLERS |= {"unserializable": "unserializable", "missing": "not_there", "changing": "tell"}
HANDLERS |= {"narrow": "hold", "closed": "record", "slow": "sleep"}


def package() -> bytes:
    """Zip the module."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as bundle:
        bundle.write(FUNCTIONS, FUNCTIONS.name)
    return archive.getvalue()


@contextlib.contextmanager
def client_of(url: str, *, attempts: int = 1) -> Iterator[Any]:
    """Return a boto3 client of a server."""
    config = Config(retries={"total_max_attempts": attempts}, max_pool_connections=50)
    made = boto3.client("lambda", REGION, endpoint_url=url, config=config)
    with contextlib.closing(made) as client:
        yield client


def deploy(url: str) -> None:
    """Create all functions, wait until they are active, publish versions and set limits."""
    code = package()
    with client_of(url) as client:
        for name, handler in HANDLERS.items():
            client.create_function(
                FunctionName=name,
                Runtime="python3.11",
                Role=ROLE,
                Handler=f"{FUNCTIONS.stem}.{handler}",
                Code={"ZipFile": code},
                Timeout=1 if name == "slow" else 60,
                MemorySize=256,
                Environment={"Variables": {"SHOP": "north"}},
            )
        for name in HANDLERS:
            wait(client, "function_active_v2", name)
        version = client.publish_version(FunctionName="tell")["Version"]
        client.create_alias(FunctionName="tell", Name="live", FunctionVersion=version)
        client.put_function_concurrency(FunctionName="closed", ReservedConcurrentExecutions=0)


def wait(client: Any, waiter: str, name: str) -> None:
    """Wait as setup code does."""
    client.get_waiter(waiter).wait(FunctionName=name, WaiterConfig=QUICKLY)
