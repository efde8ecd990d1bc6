"""The audit of the 4-class slices, as they are and changed, held to who is really who.

Each image is changed by its own draw. Nothing but pixels reaches the audit.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageEnhance
from sklearn.metrics import adjusted_rand_score
from sklearn.metrics.cluster import pair_confusion_matrix

from vit_dementia.audit.grouping import Grouping, group, look_alikes, verify
from vit_dementia.audit.leaks import leaks_across
from vit_dementia.audit.pictures import Pictures, look_at
from vit_dementia.data.cohort import Cohort

pytestmark = pytest.mark.slow
Change = Callable[[Image.Image, np.random.Generator], Image.Image]
PEOPLE = 40


def _rotated(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return image.rotate(rng.uniform(-10, 10), Image.Resampling.BILINEAR)


def _flipped(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    for way in (Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.FLIP_TOP_BOTTOM):
        image = image.transpose(way) if rng.random() < 0.5 else image
    return image


def _cropped(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    width, height = image.size
    x, y = (int(rng.integers(0, round(0.05 * side) + 1)) for side in image.size)
    box = (x, y, x + round(0.95 * width), y + round(0.95 * height))
    return image.crop(box).resize(image.size, Image.Resampling.BILINEAR)


def _compressed(image: Image.Image, _: np.random.Generator) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=50)
    return Image.open(stream).convert("L")


def _brightened(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(rng.uniform(0.8, 1.2))


def _resized(image: Image.Image, _: np.random.Generator) -> Image.Image:
    return image.resize((128, 128), Image.Resampling.BILINEAR)


CHANGES: dict[str, tuple[Change, ...]] = {
    "as they are": (),
    "rotated": (_rotated,),
    "flipped": (_flipped,),
    "cropped": (_cropped,),
    "compressed": (_compressed,),
    "brightened": (_brightened,),
    "resized": (_resized,),
    "all of these": (_rotated, _flipped, _cropped, _brightened, _resized, _compressed),
    "half of them copied": (),
}


@pytest.fixture(scope="module")
def truth(shared_data) -> pd.DataFrame:
    """Return who is on each slice."""
    return pd.read_csv(shared_data / "kaggle_alzheimer_4class" / "slices.csv")


@pytest.fixture(scope="module")
def slices(shared_data, tmp_path_factory) -> Path:
    """Return the folder of all slices."""
    folder = tmp_path_factory.mktemp("slices")
    archive = shared_data / "kaggle_alzheimer_4class" / "kaggle4_dev.tar.gz"
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
    return next(path.parent for path in folder.rglob("train") if path.is_dir())


def _error(who: np.ndarray, found: Grouping) -> float:
    """Return 1 minus F1 over pairs of scans."""
    (_, wrong), (lost, right) = pair_confusion_matrix(who, found.participant)
    return 1 - 2 * right / (2 * right + wrong + lost)


def _told(real: float, estimated: float | None) -> bool:
    """Say whether an estimate tells the truth, as the audit promises."""
    if estimated is None:
        return True  # it said that it cannot tell
    if real < 0.005:
        return estimated <= 0.01
    return real / 2 <= estimated <= 2 * real


def _pictures(
    slices: Path, truth: pd.DataFrame, name: str, out: Path
) -> tuple[Pictures, pd.DataFrame]:
    """Return a look at changed slices of some people under names that tell nothing."""
    rng = np.random.default_rng(7)
    people = rng.permutation(truth["subject"].unique())[:PEOPLE]
    rows = []
    some = truth[truth["subject"].isin(people)].sample(frac=1, random_state=7)
    for number, row in enumerate(some.itertuples()):
        image = Image.open(slices / row.path).convert("L")
        for change in CHANGES[name]:
            image = change(image, rng)
        images = [image]
        if name == "half of them copied" and rng.random() < 0.5:
            change = list(CHANGES.values())[int(rng.integers(1, 6))][0]
            images.append(change(image, rng))
        for copy, one in enumerate(images):
            # A copy may stand anywhere, as augmented sets have it.
            part = row.kaggle_split if not copy else rng.choice(["train", "test"])
            file = f"{part}/{row.kaggle_class}/{number:05}-{copy}.png"
            (out / file).parent.mkdir(parents=True, exist_ok=True)
            one.save(out / file)
            rows.append({"path": file, "who": row.subject, "part": part})
    cohort = Cohort.from_path(out, as_found=True)
    told = pd.DataFrame(rows).set_index("path").loc[cohort.table["path"]]
    return look_at(cohort), told.reset_index()


@pytest.mark.parametrize("name", CHANGES)
def test_people_and_leaks_are_told_whatever_was_done_to_the_slices(
    slices, truth, tmp_path, name
) -> None:
    pictures, told = _pictures(slices, truth, name, tmp_path)
    who = told["who"].to_numpy(str)
    alike = look_alikes(pictures)
    found = group(pictures, alike=alike)
    real = _error(who, found)
    assert adjusted_rand_score(who, found.participant) >= 0.99
    assert _told(real, found.estimated_error)
    leak = leaks_across(told["part"].tolist(), found.participant, pictures, alike=alike)
    both = set(who[told["part"] == "train"]) & set(who[told["part"] == "test"])
    assert leak.participants_shared == pytest.approx(len(both), rel=0.05)
    in_test = told["part"] == "test"
    touched = int((in_test & told["who"].isin(both)).sum())
    assert leak.test_images_with_participant_in_train >= 0.98 * touched

    held_out = set(np.random.default_rng(3).permutation(np.unique(who))[:8])
    apart = ["test" if one in held_out else "train" for one in who]
    assert not leaks_across(apart, found.participant, pictures, alike=alike)
    assert not verify(pictures, who.tolist(), alike=alike)


def test_all_published_slices_are_told_apart_from_pixels_alone(slices, truth) -> None:
    pictures = look_at(Cohort.from_path(slices, as_found=True))
    told = truth.set_index("path").loc[pictures.cohort.table["path"]]
    who, part = told["subject"].to_numpy(str), told["kaggle_split"].tolist()
    alike = look_alikes(pictures)
    found = group(pictures, alike=alike)
    assert found.certain
    assert adjusted_rand_score(who, found.participant) >= 0.99
    assert _told(_error(who, found), found.estimated_error)
    leak = leaks_across(part, found.participant, pictures, alike=alike)
    assert leak.test_images_with_participant_in_train == leak.test_images == 963
    assert leak.participants_shared == 150
