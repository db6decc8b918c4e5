"""Tries the endpoint with deployment tools: `make peers-all`.

Each has a separate environment. Chalice takes half a minute to install and to run, and is a step
of CI; the others take minutes. All services but Lambda are on moto.
"""

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
import venv
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from anyio.from_thread import start_blocking_portal

from asyncinvoke.local import LocalLambda

HERE = Path(__file__).resolve().parent
ENVIRONMENTS = HERE.parents[2] / ".env-tools"
MOTO = "http://127.0.0.1:5171"
PATIENCE = 600.0
"""Timeout in seconds for a command of a tool."""

CHALICE = """
from chalice import Chalice
app = Chalice(app_name="demo")
@app.lambda_function()
def hello(event, context):
    return {"word": %r, "event": event}
"""
ZAPPA = {
    "app_function": "app.wsgi",
    "lambda_handler": "app.hello",
    "apigateway_enabled": False,
    "aws_region": "us-east-1",
    "project_name": "demo",
    "runtime": "python3.11",
    "s3_bucket": "zappa-demo",
    "keep_warm": False,
    "events": [],
}
ANSIBLE = """
- hosts: localhost
  gather_facts: false
  tasks:
    - {name: create, amazon.aws.lambda: &f {name: from-ansible, state: present, zip_file: code.zip,
       runtime: python3.13, role: "arn:aws:iam::123456789012:role/any", handler: app.f}, register: made}
    - {assert: {that: made.changed}}
    - {name: again, amazon.aws.lambda: *f, register: again}
    - {assert: {that: not again.changed}}
    - {name: execute, amazon.aws.lambda_execute: {name: from-ansible, payload: {a: 1}}, register: ran}
    - {assert: {that: ran.result.output.a == 1}}
    - {name: info, amazon.aws.lambda_info: {function_name: from-ansible}, register: info}
    - {name: policy, amazon.aws.lambda_policy: {function_name: from-ansible, state: present,
       statement_id: s3, action: "lambda:InvokeFunction", principal: s3.amazonaws.com}}
    - {name: remove, amazon.aws.lambda: {name: from-ansible, state: absent}}
"""


class Workspace:
    """A folder to work in, where commands run against the endpoint and moto."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        aws = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "testing")
        self.variables = {
            **{k: v for k, v in os.environ.items() if not k.startswith("AWS_")},
            **aws,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": MOTO,
            "AWS_ENDPOINT_URL_LAMBDA": url,
        }

    def install(self, *packages: str) -> Path:
        """Return the `bin` folder of an environment with these packages."""
        environment = ENVIRONMENTS / packages[0].partition("=")[0]
        if not (environment / "done").exists():
            venv.create(environment, clear=True, with_pip=True)
            python = str(environment / "bin" / "python")
            subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
            (environment / "done").touch()
        return environment / "bin"

    def run(self, *command: object, said: str = "", given: str = "") -> str:
        """Run a command, which must succeed and print a text."""
        words = [str(word) for word in command]
        environment = Path(words[0]).parent.parent
        variables = self.variables | {
            "PATH": f"{Path(words[0]).parent}:{self.variables['PATH']}",
            "VIRTUAL_ENV": str(environment),
        }
        done = subprocess.run(
            words,
            cwd=self.folder,
            env=variables,
            input=given,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        output = done.stdout + done.stderr
        if done.returncode or said not in output:
            raise SystemExit(f"{' '.join(words)} ended with {done.returncode}:\n{output[-3000:]}")
        return output


def chalice(bench: Workspace) -> None:
    """Deploys twice, invokes, deletes."""
    program = bench.install("chalice==1.34.0") / "chalice"
    (bench.folder / ".chalice").mkdir()
    settings = {"version": "2.0", "app_name": "demo", "stages": {"dev": {}}}
    (bench.folder / ".chalice" / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    (bench.folder / "requirements.txt").touch()
    for word in ("first", "second"):
        (bench.folder / "app.py").write_text(CHALICE % word, encoding="utf-8")
        bench.run(program, "deploy", said="Resources deployed")
        bench.run(program, "invoke", "-n", "hello", given='{"a": 1}', said=f'"{word}"')
    bench.run(program, "delete", said="Deleting function")


def zappa(bench: Workspace) -> None:
    """Deploys from S3, updates, invokes, undeploys."""
    program = bench.install("zappa", "setuptools<81") / "zappa"
    (bench.folder / "zappa_settings.json").write_text(json.dumps({"dev": ZAPPA}), encoding="utf-8")
    (bench.folder / "app.py").write_text(
        "def hello(event, context):\n    return {'hello': event}\n"
    )
    bench.run(program, "deploy", "dev", said="Deployment complete!")
    bench.run(program, "update", "dev")
    bench.run(program, "invoke", "dev", '{"a": 1}', "--raw", said="REPORT RequestId")
    bench.run(program, "undeploy", "dev", "-y", said="Done!")


def ansible(bench: Workspace) -> None:
    """Creates, changes nothing, executes, asks, permits, removes."""
    program = bench.install("ansible", "boto3") / "ansible-playbook"
    (bench.folder / "code.zip").write_bytes(package())
    (bench.folder / "play.yml").write_text(ANSIBLE, encoding="utf-8")
    python = program.parent / "python"
    bench.run(program, "-e", f"ansible_python_interpreter={python}", "play.yml", said="failed=0")


def lithops(bench: Workspace) -> None:
    """Builds its layer, deploys, maps twelve calls, reports a failure, lists and cleans."""
    python = bench.install("lithops", "boto3") / "python"
    bench.variables["HOME"] = str(bench.folder)  # where it stores what it has deployed
    bench.run(python, HERE / "lithops_calls.py", said="all well")


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def package() -> bytes:
    """Return a zip of a function that returns its event."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("app.py", "def f(event, context):\n    return event\n")
    return held.getvalue()


@contextlib.contextmanager
def moto() -> Iterator[None]:
    """Serve everything but Lambda."""
    command = [
        sys.executable,
        "-m",
        "moto.server",
        "-H",
        "127.0.0.1",
        "-p",
        MOTO.rpartition(":")[2],
    ]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{MOTO}/moto-api/", timeout=5).close()
                break
            time.sleep(0.1)
        yield
    finally:
        server.kill()
        server.wait()


TOOLS: list[Callable[[Workspace], None]] = [chalice, zappa, ansible, lithops]


def main(wanted: list[str]) -> None:
    """Try all tools, or the named ones."""
    with start_blocking_portal() as portal, moto():
        for tool in TOOLS:
            if wanted and tool.__name__ not in wanted:
                continue
            began = time.monotonic()
            say(f"{tool.__name__}: {tool.__doc__}")
            with (
                tempfile.TemporaryDirectory() as folder,
                portal.wrap_async_context_manager(LocalLambda(s3=MOTO)) as local,
            ):
                tool(Workspace(Path(folder), local.url))
            say(f"  all well, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
