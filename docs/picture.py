"""Makes the picture of a report: `python docs/picture.py`, offline, in a minute; needs Chromium.

An endpoint on this machine stands in for Lambda. A run of 20,000 orders is throttled, meets failures of
several kinds, is stopped and continued, and reported on, each by the command that a user would type. A
headless Chromium then looks at the page, at the width of a desk in light and of a phone in dark.
`--keep FOLDER` leaves the page, and a print of it, there.
"""

import argparse
import csv
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import anyio

from asyncinvoke.local import LocalLambda, Reset

PICTURE = Path(__file__).parent / "report.png"
ORDERS = 20_000
STOPPED_AT = 7_000
PLACES = 80
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
DESK, PHONE = (880, 1600), (390, 1600)


class BankError(Exception):
    """What the function fails with now and then."""


class Shop:
    """The function that is run, and who stops the run at some point."""

    def __init__(self) -> None:
        self.chance = random.Random(7)  # no secret
        self.charged = 0
        self.is_time = anyio.Event()

    async def charge(self, event: dict[str, str], _context: object) -> dict[str, object]:
        """Charge an order; most take a tenth of a second, some much longer."""
        self.charged += 1
        if self.charged == STOPPED_AT:
            self.is_time.set()
        await anyio.sleep(self.chance.lognormvariate(-2.4, 0.45))
        if self.chance.random() < 0.004:
            raise ValueError(f"no such account: {event['account']}")
        if self.chance.random() < 0.0025:
            raise BankError("the bank is closed for maintenance")
        return {"charged": event["amount"], "bank": self.chance.randrange(9)}


def write_orders(path: Path) -> None:
    """Write what is to be charged."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "account", "amount"])
        writer.writerows(
            [f"order-{number:05}", f"DE{number * 7919 % 10**8:08}", f"{number % 900 / 4 + 5:.2f}"]
            for number in range(1, ORDERS + 1)
        )


async def record(folder: Path) -> None:
    """Run the orders in two sessions, the first of which is stopped, and write the report."""
    async with LocalLambda(account_concurrency=1000) as local:
        shop = Shop()
        function = local.function(
            "charge", shop.charge, reserved_concurrency=PLACES, memory_size=512
        )
        function.alias("live", function.publish_version())
        local.fault(Reset(), probability=0.0006, seed=2, after_run=True)
        environment = os.environ | {
            "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_LAMBDA": local.url,
        }  # fmt: skip

        async def command(*words: str) -> None:
            await anyio.run_process(
                [sys.executable, "-m", "asyncinvoke", *words],
                cwd=folder, env=environment, check=False, stdout=None, stderr=None,
            )  # fmt: skip

        async def stop() -> None:
            await shop.is_time.wait()
            await command("runs", "stop", "orders.run")

        orders = ["map", "charge:live", "orders.csv", "--journal", "orders.run", "--key", "/id"]
        orders += ["--concurrency", "200", "--sample-logs", "5%", "--progress", "none"]
        async with anyio.create_task_group() as group:
            group.start_soon(stop)
            await command(*orders)
        await command(*orders)
    await command("runs", "report", "orders.run", "--output", "report.html", "--force")


def looked_at(browser: str, page: Path, size: tuple[int, int], *, is_dark: bool) -> Path:
    """Return a picture of the page as a browser shows it."""
    made = page.with_name(f"{'dark' if is_dark else 'light'}.png")
    _browse(
        browser,
        f"--screenshot={made}",
        f"--window-size={size[0]},{size[1]}",
        "--hide-scrollbars",
        f"--blink-settings=preferredColorScheme={0 if is_dark else 1}",
        page.as_uri(),
    )
    return made


def _browse(browser: str, *options: str) -> None:
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}",
             *options],
            check=True, capture_output=True, timeout=120,
        )  # fmt: skip


def put_together(desk: Path, phone: Path) -> None:
    """Write both into one picture of few colours, so that it is small."""
    from PIL import Image

    gap = 24
    height = min(DESK[1], PHONE[1])
    sheet = Image.new("RGB", (DESK[0] + gap + PHONE[0], height), "#8a939d")
    sheet.paste(Image.open(desk).convert("RGB"), (0, 0))
    sheet.paste(Image.open(phone).convert("RGB"), (DESK[0] + gap, 0))
    sheet.quantize(128, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
        PICTURE, optimize=True
    )


def main() -> int:
    """Make it; give the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", type=Path, help="where the page and a print of it are left")
    kept = parser.parse_args().keep
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        print("there is no Chromium on this machine", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_orders(folder / "orders.csv")
        anyio.run(record, folder)
        page = folder / "report.html"
        desk = looked_at(browser, page, DESK, is_dark=False)
        put_together(desk, looked_at(browser, page, PHONE, is_dark=True))
        if kept is not None:
            _browse(browser, f"--print-to-pdf={kept / 'report.pdf'}", page.as_uri())
            shutil.copy(page, kept)
            shutil.copy(folder / "orders.run", kept)
    print(f"{PICTURE.name}: {PICTURE.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
