"""Draw docs/images/check.png: the top of the report of a check, on phantoms that leak.

Run from anywhere: python docs/draw_check.py; Chromium is needed.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

from PIL import Image

from vit_dementia.cli.app import run
from vit_dementia.data.phantoms import make_phantoms

OUT = Path(__file__).parent / "images" / "check.png"
TESTED = (4, 5, 12, 13, 20, 28)  # slices of everybody that are put in test
WIDTH, HEIGHT = 1000, 1010


def main() -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("draw_check: Chromium is needed")
    with tempfile.TemporaryDirectory() as folder:
        made = make_phantoms(Path(folder) / "made", participants=24, slices=32)
        data = Path(folder) / "data"
        for file in sorted((Path(made) / "images").rglob("*.png")):
            part = "test" if int(file.stem.split("-")[-1]) in TESTED else "train"
            to = data / part / file.parent.name / file.name
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, to)
        run(["check", str(data), "--out", f"{folder}/out"])
        shot = Path(folder) / "page.png"
        subprocess.run(
            [
                chromium, "--headless", "--no-sandbox", "--hide-scrollbars",
                f"--window-size={WIDTH},{HEIGHT}", f"--screenshot={shot}",
                f"file://{folder}/out/report.html",
            ],
            check=True,
            capture_output=True,
        )  # fmt: skip
        picture = Image.open(shot).convert("RGB")
        picture.thumbnail((WIDTH * 4 // 5, HEIGHT), Image.Resampling.LANCZOS)
        picture.quantize(96).save(OUT, optimize=True)
    print(OUT)


if __name__ == "__main__":
    main()
