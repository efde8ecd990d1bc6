"""Draw docs/images/phantoms.png: one phantom of each class, and where its atrophy is.

Run from anywhere: python docs/draw_phantoms.py
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from vit_dementia.data.phantoms.anatomy import GRADES
from vit_dementia.data.phantoms.atlas import load_atlas
from vit_dementia.data.phantoms.participants import draw_participant
from vit_dementia.data.phantoms.rendering import render
from vit_dementia.data.phantoms.settings import Appearance, Variation

PIXEL_MM = 1.25
HEIGHTS_MM = (-16, -2, 10, 20, 32)
OUT = Path(__file__).parent / "images" / "phantoms.png"


def main() -> None:
    atlas = load_atlas()
    people = [
        draw_participant(
            number,
            classes=len(GRADES),
            seed=0,
            variation=Variation(),
            appearance=Appearance(),
        )
        for number in range(1, 400)
    ]
    axes = (
        np.arange(-77.5, 77.5, PIXEL_MM),
        np.arange(-112.5, 82.5, PIXEL_MM),
        np.array(HEIGHTS_MM, dtype=float),
    )
    rows = []
    for grade in range(len(GRADES)):
        who = next(p for p in people if p.grade == grade and p.contrast[2] > 0.85)
        scan = render(who, atlas, axes)
        gray = np.clip(scan.intensity, 0, 1) * 255
        colored = np.stack([gray] * 3, axis=-1)
        colored[scan.changed] = colored[scan.changed] * 0.4 + np.array([150, 50, 0])
        shown = [np.stack([gray[:, :, k]] * 3, axis=-1) for k in range(len(HEIGHTS_MM))]
        shown.append(colored[:, :, 3])
        rows.append(np.concatenate([s.transpose(1, 0, 2)[::-1] for s in shown], axis=1))
    picture = Image.fromarray(np.concatenate(rows).astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    for grade, row in zip(
        GRADES, range(0, picture.height, rows[0].shape[0]), strict=True
    ):
        pen.text((4, row + 3), grade.label, fill=(255, 255, 255))
    OUT.parent.mkdir(exist_ok=True)
    picture.quantize(40, dither=Image.Dither.NONE).save(OUT, optimize=True)
    print(f"{OUT}: {OUT.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
