"""The parts of the direct transport that do no I/O, each repeated separately."""

import asyncio
import json
import sys
import time
from collections.abc import Callable

from benchmarks.canned_answers import BODY
from benchmarks.child import Child
from benchmarks.contestants import FUNCTION, REGION

PAYLOAD = b'"%014d"' % 0


class Parts(Child):
    """The parts in a separate process."""

    def __init__(self) -> None:
        super().__init__("parts")

    def measure(self, count: int) -> dict[str, float]:
        """Return the CPU seconds of each part for a number of repetitions."""
        return self.ask(count=count)


async def _serve() -> None:
    from asyncinvoke._request.parameters import checked
    from asyncinvoke._transport.answers import read_answer
    from asyncinvoke._transport.sdk_request import INVOKE, make_template
    from asyncinvoke._transport.session import open_client
    from asyncinvoke._transport.sigv4 import Moment

    parameters = checked(FUNCTION)
    async with open_client(
        session=None, region_name=REGION, endpoint_url=None, config=None, max_pool_connections=1
    ) as client:
        # Where the transport reads them; no public name gives a client's credentials.
        credentials = await client._request_signer._credentials.get_frozen_credentials()  # noqa: SLF001
        moment = Moment(credentials, 1_893_456_000)
        template = await make_template(client, INVOKE, parameters, moment)
    headers = {
        "x-amzn-requestid": "6f1a6d9c-5a0e-4b8e-9b0a-6d1f0c3a2b10",
        "x-amz-executed-version": "$LATEST",
    }
    parts: dict[str, Callable[[], object]] = {
        "signing": lambda: template.head(moment, PAYLOAD, parameters),
        "reading": lambda: read_answer(200, headers, BODY, 200),
    }
    for line in sys.stdin:
        count = json.loads(line)["count"]
        print(json.dumps({name: _cpu(part, count) for name, part in parts.items()}), flush=True)


def _cpu(part: Callable[[], object], count: int) -> float:
    began = time.process_time()
    for _ in range(count):
        part()
    return (time.process_time() - began) / count


if __name__ == "__main__":
    asyncio.run(_serve())
