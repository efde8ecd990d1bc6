from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vit_dementia.data.images import read_slice
from vit_dementia.errors import CheckpointError, ScanError
from vit_dementia.preparation.slices import SlicePreprocessing


def _disc(height: int, width: int, peak: float = 200.0) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    radius = np.hypot(
        (rows - height / 2) / (height / 3), (columns - width / 2) / (width / 3)
    )
    return (peak * np.clip(1.5 - radius, 0, 1)).astype(np.float32)[None]


def test_a_slice_of_the_right_size_keeps_its_pixels() -> None:
    image = _disc(20, 30)
    prepared = SlicePreprocessing(size=(20, 30))(image)
    assert prepared.shape == (1, 20, 30)
    white = np.percentile(image[image > 0], 99.5)
    np.testing.assert_allclose(
        prepared / 255, np.clip(image / white, 0, 1), atol=0.5 / 255 + 1e-6
    )


@given(st.floats(0.01, 300))
def test_the_scanners_unit_does_not_matter(factor) -> None:
    image = _disc(24, 24)
    preprocessing = SlicePreprocessing(size=(16, 16))
    scaled = (image * np.float32(factor)).astype(np.float32)
    difference = preprocessing(image).astype(int) - preprocessing(scaled).astype(int)
    assert np.abs(difference).max() <= 1


def test_padding_keeps_proportions_and_stretching_does_not() -> None:
    square = np.full((1, 40, 40), 9.0, np.float32)
    square[0, 0, 0] = 0
    padded = SlicePreprocessing(size=(20, 40), fit="pad")(square)[0]
    assert (padded[:, 10:30] > 200).mean() > 0.98
    assert not padded[:, :10].any()
    assert not padded[:, 30:].any()
    stretched = SlicePreprocessing(size=(20, 40), fit="stretch")(square)[0]
    assert (stretched > 200).mean() > 0.98


def test_a_larger_slice_is_shrunk_as_pillow_shrinks_it() -> None:
    image = _disc(64, 48)
    found = SlicePreprocessing(size=(32, 24))(image)[0]
    white = np.percentile(image[image > 0], 99.5)
    scaled = np.clip(image[0] / white, 0, 1).astype(np.float32)
    expected = Image.fromarray(scaled).resize((24, 32), Image.Resampling.BICUBIC)
    np.testing.assert_allclose(
        found / 255, np.clip(np.asarray(expected), 0, 1), atol=0.5 / 255 + 1e-6
    )


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_an_empty_picture_is_refused(value) -> None:
    with pytest.raises(ScanError, match="same value"):
        SlicePreprocessing(size=(8, 8))(np.full((1, 8, 8), value, np.float32))


@pytest.mark.parametrize("shift", [-60, -200, -1000])
def test_a_picture_with_black_far_below_zero_is_refused(shift) -> None:
    image = np.linspace(0, 255, 24 * 32, dtype=np.float32).reshape(1, 32, 24)
    with pytest.raises(ScanError, match=r"dark pixels down to .* needs black as 0"):
        SlicePreprocessing(size=(32, 24))(image + np.float32(shift))


def test_a_little_below_zero_is_black() -> None:
    image = np.linspace(0, 255, 24 * 32, dtype=np.float32).reshape(1, 32, 24)
    prepared = SlicePreprocessing(size=(32, 24))(image - np.float32(9))
    np.testing.assert_array_equal(prepared[0, 0, 0], 0)


def test_gray_color_and_16_bit_files_of_one_picture_give_one_tensor(tmp_path) -> None:
    pixels = _disc(32, 32)[0].astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "gray.png")
    Image.fromarray(np.stack([pixels] * 3, axis=-1)).save(tmp_path / "color.png")
    Image.fromarray(pixels.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    preprocessing = SlicePreprocessing(size=(32, 32))
    gray, color, deep = (
        preprocessing(read_slice(tmp_path / f"{name}.png")).astype(int)
        for name in ("gray", "color", "deep")
    )
    assert np.abs(gray - color).max() <= 1
    assert np.abs(gray - deep).max() <= 1


def test_normalizing_is_the_formula_in_words() -> None:
    preprocessing = SlicePreprocessing(size=(2, 2), mean=0.25, std=0.5)
    batch = torch.tensor([[[[0, 255], [51, 102]]]], dtype=torch.uint8)
    expected = torch.tensor([[[[-0.5, 1.5], [-0.1, 0.3]]]])
    torch.testing.assert_close(preprocessing.normalize(batch), expected)


def test_it_reads_back_from_json_and_refuses_another_format() -> None:
    preprocessing = SlicePreprocessing(size=(208, 176), channels=3, mean=0.2, std=0.3)
    stored = json.loads(json.dumps(preprocessing.to_dict()))
    assert SlicePreprocessing.from_dict(stored) == preprocessing
    with pytest.raises(CheckpointError, match="format 2"):
        SlicePreprocessing.from_dict(stored | {"format": 2})
    with pytest.raises(CheckpointError, match="needs format 1"):
        SlicePreprocessing.from_dict({"format": 1})
