"""Compares the vectors with a real account, or any other endpoint: `make live`, at a cost of cents.

It creates functions and layers whose names begin with `asyncinvoke-live-`, invokes them a few dozen times, and
removes them, whatever happens. Differences from recorded or guessed answers are printed in the form
of a vector. Requests are only sent to the given endpoint.
"""

import argparse
import base64
import contextlib
import io
import json
import re
import secrets
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from . import functions
from .raw import invoke_path
from .recorded import ARN, SUCCESSES
from .recorded_functions import FUNCTIONS as FUNCTION_VECTORS
from .recorded_parts import PARTS
from .recorded_refusals import BODIES, NAMES, SIZES
from .recorded_set_up import SET_UP, SetUpVector
from .set_up import Target, differences
from .vector import Call, Vector, as_json, matches

PATIENCE = 90.0
"""Seconds for a function to become active."""

RUNTIME = "python3.13"


class Endpoint:
    """An endpoint that receives signed requests."""

    def __init__(self, url: str | None, region: str, role: str | None) -> None:
        self.session = boto3.Session(region_name=region)
        self.client = self.session.client("lambda", endpoint_url=url)
        self.url = self.client.meta.endpoint_url.rstrip("/")
        self.region = region
        self.role = role or self._make_role(url)

    def send(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Send a request; return status, headers in lower case, and body."""
        asked = AWSRequest(method, self.url + path, dict(headers or {}), body)
        credentials = self.session.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        SigV4Auth(credentials, "lambda", self.region).add_auth(asked)
        request = urllib.request.Request(
            self.url + path, body or None, dict(asked.headers), method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return answer.status, _lower(answer.headers), answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _lower(error.headers), error.read()

    @contextlib.contextmanager
    def function(self, handler: str, code: bytes, timeout: int = 3) -> Iterator[str]:
        """Create a function with a version and an alias for the duration of a block."""
        name = f"asyncinvoke-live-{secrets.token_hex(4)}"
        self.client.create_function(
            FunctionName=name,
            Runtime=RUNTIME,
            Role=self.role,
            Handler=handler,
            Code={"ZipFile": code},
            Timeout=timeout,
        )
        try:
            until = time.monotonic() + PATIENCE
            while self.client.get_function(FunctionName=name)["Configuration"]["State"] != "Active":
                if time.monotonic() > until:
                    raise OSError(f"{name} has not become active")
                time.sleep(0.5)
            yield name
        finally:
            for made in (name, f"{name}-new"):
                with contextlib.suppress(ClientError):
                    self.client.delete_function(FunctionName=made)
            with contextlib.suppress(ClientError):
                for layer in self.client.list_layer_versions(LayerName=name)["LayerVersions"]:
                    number = layer["Version"]
                    self.client.delete_layer_version(LayerName=name, VersionNumber=number)

    def _make_role(self, url: str | None) -> str:
        if url is None:
            raise ValueError(
                "a real account needs --role: the ARN of a role that Lambda can assume"
            )
        iam = self.session.client("iam", endpoint_url=url)
        with contextlib.suppress(Exception):  # which may have no IAM, or a different one
            role = iam.create_role(
                RoleName=f"asyncinvoke-live-{secrets.token_hex(4)}", AssumeRolePolicyDocument="{}"
            )
            return str(role["Role"]["Arn"])
        return "arn:aws:iam::123456789012:role/any"


def set_up_vectors(
    endpoint: Endpoint, only: str = ""
) -> Iterator[tuple[SetUpVector, list[str], str]]:
    """Check each recorded answer of set-up operations with a new function; yield differences."""
    code = _zipped("functions.py", Path(str(functions.__file__)).read_text("utf-8"))
    for vector in [*SET_UP, *PARTS]:
        if only not in vector.name:
            continue
        with endpoint.function("functions.echo", code) as name:
            arn = endpoint.client.get_function(FunctionName=name)["Configuration"]["FunctionArn"]
            values = {
                "F": name,
                "ARN": arn,
                "CATS": name,
                "LAYER": f"{arn.rpartition(':function:')[0]}:layer:{name}",
                "REGION": endpoint.region,
                "ACCOUNT": arn.split(":")[4],
                "ROLE": endpoint.role,
                "ZIP": base64.b64encode(code).decode(),
            }
            place = Target(endpoint.send, values)
            yield vector, differences(vector, place), place.told


def invoke_vectors(endpoint: Endpoint, only: str = "") -> Iterator[tuple[Vector, list[str], str]]:
    """Check each recorded answer of Invoke that a Python function can cause; yield differences."""
    for vector in [*SUCCESSES, *NAMES, *BODIES, *SIZES, *FUNCTION_VECTORS]:
        call = vector.call
        if only not in vector.name:
            continue
        if call is None or call.endpoint or call.before or call.times > 1 or call.handler is None:
            continue
        if vector.status == 200 and "process" not in call.kinds and call.source is None:
            continue  # only for callables of this process
        if call.options.keys() - {"timeout"}:
            continue
        yield vector, *_asked(endpoint, vector, call)


def _asked(endpoint: Endpoint, vector: Vector, call: Call) -> tuple[list[str], str]:
    module, source = "functions", Path(str(functions.__file__)).read_text("utf-8")
    handler = f"functions.{call.handler}"
    if call.source is not None:
        module, source, handler = "module", call.source, "module.handler"
    timeout = max(int(call.options.get("timeout", 3)), 1)
    with endpoint.function(handler, _zipped(f"{module}.py", source), timeout) as name:
        if call.qualifier or ":" in call.name:
            client = endpoint.client
            version = client.publish_version(FunctionName=name)["Version"]
            client.create_alias(FunctionName=name, Name="live", FunctionVersion=version)
        asked_for = re.sub(r"(^|:)f(?=$|:)", rf"\g<1>{name}", call.name)
        arn = f"arn:aws:lambda:{endpoint.region}:{endpoint.role.split(':')[4]}:function:"
        path = invoke_path(asked_for.replace(ARN, arn), call.qualifier)
        # Here the minimum timeout of a function is a second, so it sleeps longer.
        sent = b"3" if call.options.get("timeout", 3) < 1 else call.body
        status, headers, body = endpoint.send("POST", path, sent, call.headers)
    message = (
        as_json(json.loads(body)) if body and _is_json(body) else body.decode(errors="replace")
    )
    template = vector.body.replace(f"{ARN}f", f"{arn}{name}").replace(ARN, arn)
    template = template.replace("'us-east-1'", f"'{endpoint.region}'")
    known = {"id": headers.get("x-amzn-requestid", ""), "seconds": f"{timeout:.2f}"}
    found = [] if status == vector.status else [f"status: {status} in place of {vector.status}"]
    found += [
        f"header {header}: {headers.get(header.lower())!r}"
        for header, wanted in vector.headers.items()
        if header not in ("Date", "Connection", "Content-Length")
        and not matches(wanted, headers.get(header.lower(), ""), **known)
    ]
    if not matches(template, message, **known):
        found.append(f"body: {message[:500]} in place of {template[:500]}")
    told = f"status={status}, headers={dict(headers)!r}, body={message[:2000]!r}"
    return found, told


def _zipped(name: str, text: str) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = 0o644 << 16
        archive.writestr(entry, text)
    return held.getvalue()


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except ValueError:
        return False
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all vectors; return 1 if anything differs, 2 with one line if they cannot be run."""
    try:
        return _main(arguments)
    except (ClientError, BotoCoreError, OSError, ValueError) as error:
        sys.stderr.write(f"make live: {' '.join(str(error).split())}\n")
        return 2


def _main(arguments: Sequence[str] | None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, prog="make live")
    parser.add_argument("--endpoint-url", help="an endpoint in place of AWS's own")
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--role", help="the ARN of a role that Lambda can assume")
    parser.add_argument("--only", default="", help="run vectors alone whose name holds this")
    options = parser.parse_args(arguments)
    endpoint = Endpoint(options.endpoint_url, options.region, options.role)
    source = f"LIVE {time.strftime('%Y-%m-%d')}, {quote(endpoint.url, safe=':/')}"
    ran = differ = 0
    out = sys.stdout.write
    try:
        for set_up, found, told in set_up_vectors(endpoint, options.only):
            ran += 1
            if found:
                differ += 1
                out(f"\n# {set_up.operation}: {set_up.name} ({set_up.source})\n")
                out("".join(f"#   {line[:1000]}\n" for line in found))
                out(f"SetUpVector(name={set_up.name!r}, operation={set_up.operation!r}, ")
                out(f"source={source!r}, sent={set_up.sent!r}, {told[:2000]})\n")
        for vector, found, told in invoke_vectors(endpoint, options.only):
            ran += 1
            if found:
                differ += 1
                out(f"\n# {vector.operation}: {vector.name} ({vector.source})\n")
                out("".join(f"#   {line[:1000]}\n" for line in found))
                out(f"Vector(name={vector.name!r}, source={source!r}, {told})\n")
    finally:
        endpoint.client.close()
    out(f"\n{ran} answers of {endpoint.url}, {differ} differ\n")
    return int(differ > 0)


if __name__ == "__main__":
    sys.exit(main())
