"""The report in headless Chromium: it fits a phone, loads nothing, and is drawn."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import made
import numpy as np
import pytest
from PIL import Image as PillowImage

from gradus.look.report import page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
in_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium, chromium-browser or google-chrome on PATH")
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]

PROBE = """<script>
addEventListener("load", () => {
  const wide = [...document.querySelectorAll("body *")].filter(
    (node) => !node.closest(".scroll, svg") && node.getBoundingClientRect().right > innerWidth + 1);
  const loaded = performance.getEntriesByType("resource").filter((entry) => !entry.name.startsWith("data:"));
  const names = wide.map((node) => node.className || node.tagName).join(",");
  parent.postMessage([document.documentElement.scrollWidth, innerWidth, loaded.length, names].join("|"), "*");
});
</script>"""
FRAME = """<!DOCTYPE html><title>waiting</title><body style="margin:0">
<script>addEventListener("message", (event) => document.title = event.data)</script>
<iframe src="NAME.html" style="border:0;width:WIDTHpx;height:6000px"></iframe>"""


def browse(arguments: list[str], folder: Path) -> str:
    """Runs a headless browser with a profile of its own; returns what it prints."""
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={folder / 'profile'}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return {kind: page(made.CONTENTS[kind]()) for kind in ("pictures", "chinese", "hostile", "many", "labels")}


@pytest.fixture
def site(tmp_path):
    """A local server of `tmp_path`, which keeps what is asked of it: (folder, address, requests)."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            file = tmp_path / self.path.lstrip("/")
            self.send_response(200 if file.is_file() else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(file.read_bytes() if file.is_file() else b"")

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield tmp_path, f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


@in_browser
@pytest.mark.parametrize("kind", ["pictures", "hostile", "many", "labels"])
def test_fits_a_phone_and_asks_for_nothing(pages, site, kind):
    folder, address, asked = site
    # The report's own policy forbids scripts, so the probe goes into a copy without it; headless windows are never
    # narrower than about 500 pixels, so the phone is a frame.
    copy = re.sub(r"<meta http-equiv=[^>]*>", "", pages[kind]).replace("</body>", PROBE + "</body>")
    (folder / "copy.html").write_text(copy, encoding="utf-8")
    (folder / "frame.html").write_text(FRAME.replace("NAME", "copy").replace("WIDTH", "360"), encoding="utf-8")
    dumped = browse(["--virtual-time-budget=5000", "--dump-dom", f"{address}/frame.html"], folder)
    title = re.search(r"<title>([^<]*)</title>", dumped)[1]
    assert title.count("|") == 3, f"the page did not answer: {title}"
    width, inner, requests, wide = title.split("|")
    assert (int(width), int(inner)) == (360, 360), f"too wide: {wide}"
    assert not wide
    assert requests == "0"
    assert set(asked) <= {"/frame.html", "/copy.html", "/favicon.ico"}


@in_browser
@pytest.mark.parametrize("width", [360, 1200])
def test_is_drawn_at_both_widths(pages, tmp_path, width):
    (tmp_path / "report.html").write_text(pages["chinese"], encoding="utf-8")
    (tmp_path / "frame.html").write_text(FRAME.replace("NAME", "report").replace("WIDTH", str(width)), encoding="utf-8")
    picture = tmp_path / "shot.png"
    size = f"--window-size={max(width, 520)},2000"
    browse(
        ["--allow-file-access-from-files", size, f"--screenshot={picture}", (tmp_path / "frame.html").as_uri()],
        tmp_path,
    )
    pixels = np.asarray(PillowImage.open(picture).convert("RGB"))[:, :width]
    assert pixels.shape[:2] == (2000, width)
    blue = (pixels == (31, 111, 235)).all(axis=2)
    assert blue.sum() > 500, "the model's bar and curves are in the role's colour"
    assert (pixels.std(axis=(1, 2)) > 0).mean() > 0.3, "most of the page is not blank"
