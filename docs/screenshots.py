"""Make the pictures of the live page and of a report in `docs/screenshots/`.

    python docs/screenshots.py [RECORDING]

A station listens to the recording, the bundled example if none is named, in real time for half a minute, with the best
pack installed, and a browser looks at its page. Needs the extras `cpu`, `web` and `dev`, and Debian's `chromium`.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from edgeapp.paths import EXAMPLE

FOLDER = Path(__file__).with_name("screenshots")
CHROMIUM = "/usr/bin/chromium"
LISTENED_S = 45.0
PAUSE_S, PAUSE_LEVEL = 9.0, 0.7  # of near silence after the recording, so that detections end
PORT = 8095
WIDTH, HEIGHT = 1000, 720
QUALITY = 70


def main(recording: Path) -> None:
    """Make all pictures."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        report = Path(folder) / "report.html"
        subprocess.run(
            [sys.executable, "-m", "edgeapp", "identify", str(recording), "--report", str(report)],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.goto(report.as_uri())
        keep(page, "report")
        station = listen(recording, Path(folder))
        try:
            page.goto(f"http://127.0.0.1:{PORT}/")
            time.sleep(LISTENED_S)
            keep(page, "now")
            page.goto(f"http://127.0.0.1:{PORT}/detections")
            keep(page, "detections")
            dark = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="dark")
            dark.goto(f"http://127.0.0.1:{PORT}/day")
            keep(dark, "day")
            phone = browser.new_page(viewport={"width": 390, "height": 780}, color_scheme="dark")
            phone.goto(f"http://127.0.0.1:{PORT}/detections")
            keep(phone, "phone")
        finally:
            station.terminate()
            station.wait(60)
        browser.close()


def listen(recording: Path, folder: Path) -> subprocess.Popen[bytes]:
    """A station that hears the recording again and again, with its page."""
    samples, rate = soundfile.read(recording, dtype="int16", always_2d=True)
    pause = np.random.default_rng(1).normal(0, PAUSE_LEVEL, (round(PAUSE_S * rate),)).astype(np.int16)
    sound = samples[:, 0].tobytes() + pause.tobytes()
    command = [
        sys.executable,
        "-m",
        "edgeapp",
        "listen",
        "-",
        "--pcm-rate",
        str(rate),
        "--web",
        "--web-port",
        str(PORT),
    ]
    command += [
        "--name",
        "garden",
        "--web",
        "--web-port",
        str(PORT),
        "--journal",
        f"{folder}/journal.sqlite",
        "--clips",
        f"{folder}/clips",
    ]
    station = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def play() -> None:
        assert station.stdin is not None
        begun, at, piece = time.monotonic(), 0, rate // 5
        while station.poll() is None:
            while at + piece <= (time.monotonic() - begun) * rate:
                place = (2 * at) % max(1, len(sound) - 2 * piece)
                try:
                    station.stdin.write(sound[place : place + 2 * piece])
                    station.stdin.flush()
                except BrokenPipeError:
                    return
                at += piece
            time.sleep(0.05)

    threading.Thread(target=play, daemon=True).start()
    for _ in range(120):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{PORT}/").close()
            return station
        except OSError:
            time.sleep(0.5)
    station.kill()
    raise SystemExit("the station did not serve its page")


def keep(page: Page, name: str) -> None:
    """Keep what the browser shows."""
    page.wait_for_timeout(1_500)
    image = Image.open(io.BytesIO(page.screenshot()))
    image.convert("RGB").save(FOLDER / f"{name}.webp", quality=QUALITY, method=6)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else EXAMPLE)
