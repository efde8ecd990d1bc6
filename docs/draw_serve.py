"""Draw docs/images/serve.png: the page of `serve`, with a phantom, its map, its cases.

Run from anywhere: python docs/draw_serve.py [DEMO]; DEMO is what `vit-dementia demo`
made, which takes minutes. Chromium and Playwright are needed.
"""

import io
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from vit_dementia.cli.app import run

OUT = Path(__file__).parent / "images" / "serve.png"
WIDTH = 1000
COMMAND = Path(sys.executable).with_name("vit-dementia")
MINUTES = 300_000  # milliseconds


def main() -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("draw_serve: Chromium is needed")
    with tempfile.TemporaryDirectory() as folder:
        demo = Path(sys.argv[1] if len(sys.argv) > 1 else f"{folder}/demo")
        if not demo.exists():
            run(["demo", "--out", str(demo)])
        told = pd.read_csv(demo / "run/evaluation/test/predictions.tsv", sep="\t")
        said = told[(told.label == "MildDemented") & (told.predicted == told.label)]
        scan = demo / "data" / said.sort_values("p_MildDemented").path.iloc[-1]
        server = subprocess.Popen(
            [COMMAND, "serve", demo / "run", "--port=0", "--cases=4", "--show-scans"],
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            lines = iter(server.stderr or ())
            found = filter(None, (re.search(r"listening: (\S+)", one) for one in lines))
            with sync_playwright() as started:
                opened = started.chromium.launch(
                    executable_path=chromium, args=["--no-sandbox"]
                )
                page = opened.new_page(viewport={"width": WIDTH, "height": 900})
                visit(page, next(found)[1], scan)
                picture = Image.open(io.BytesIO(page.screenshot(full_page=True)))
                top = page.locator("#viewer").bounding_box()
                bottom = page.locator("#answer").bounding_box()
                assert top is not None
                assert bottom is not None
                cut = (0, top["y"], WIDTH, bottom["y"] + bottom["height"])
                picture = picture.convert("RGB").crop([round(side) for side in cut])
                picture.thumbnail((WIDTH * 4 // 5, 3000), Image.Resampling.LANCZOS)
                picture.quantize(96).save(OUT, optimize=True)
        finally:
            server.terminate()
            server.wait()
    print(OUT)


def visit(page: Page, url: str, scan: Path) -> None:
    """Drop a scan, and ask for all that can be asked of it."""
    page.set_default_timeout(MINUTES)
    page.goto(url)
    page.wait_for_selector("body[data-ready]")
    page.set_input_files("#files", scan)
    page.wait_for_selector("#answer:not([hidden])")
    page.click("#explain")
    page.wait_for_selector("#map-about:not(:empty)")
    page.click("#alike")
    page.wait_for_selector("#cases:not([hidden])")
    page.evaluate("scrollTo(0, 0)")


if __name__ == "__main__":
    main()
