from __future__ import annotations

import json
import logging

import numpy as np
import pytest
import torch
from PIL import Image

from vit_dementia.config import VitConfig
from vit_dementia.data.volumes import Volume
from vit_dementia.errors import CheckpointError, ConfigError
from vit_dementia.models.weights import load_model, load_weights, native, read_weights
from vit_dementia.preparation.slab import SlabPreprocessing
from vit_dementia.preparation.volumes import VolumePreprocessing

CLASSES = ("a", "b", "c", "d", "e")


@pytest.fixture
def folder(small, tmp_path):
    model = small()
    native.save(
        model.state_dict(),
        model.architecture,
        CLASSES,
        tmp_path,
        mean=(0.4, 0.5, 0.6),
        std=(0.2, 0.2, 0.2),
    )
    return tmp_path


def test_a_matching_head_is_kept_and_nothing_is_said(folder, small, images, caplog):
    with caplog.at_level(logging.INFO):
        model = load_model(folder, num_classes=5, classes=CLASSES, channels=3)
    assert torch.equal(model.eval()(images), small()(images))
    assert not caplog.records


def test_a_head_of_another_width_is_replaced_by_zeros_and_said(folder, images, caplog):
    model = load_model(folder, num_classes=2).eval()
    assert torch.equal(model(images), torch.zeros(2, 2, dtype=torch.float64))
    assert "new one for 2 classes" in caplog.text
    assert model.blocks[0].attn.qkv.weight.abs().sum() > 0


@pytest.mark.parametrize(
    "settings", [{"pre_logits": 7}, {"distilled": True}, {"num_classes": 0}]
)
def test_all_of_an_old_head_goes_with_it(small, images, tmp_path, settings) -> None:
    model = small(**settings)
    names = CLASSES[: model.architecture.num_classes]
    native.save(model.state_dict(), model.architecture, names, tmp_path)
    new = load_model(tmp_path, num_classes=2).eval()
    assert new.architecture.pre_logits == 0
    assert new(images).shape == (2, 2)
    assert not new(images).any()
    if names:
        turned = load_model(tmp_path, classes=names[::-1]).eval()
        torch.testing.assert_close(turned(images), model(images).flip(1))


def test_other_classes_get_a_new_head_and_another_order_reorders(
    folder, small, images, caplog
) -> None:
    other = load_model(folder, classes=("v", "w", "x", "y", "z")).eval()
    assert not other(images).any()
    assert "new one for 5 classes" in caplog.text
    turned = load_model(folder, classes=CLASSES[::-1]).eval()
    torch.testing.assert_close(turned(images), small()(images).flip(1))
    assert "e,d,c,b,a" in caplog.text


def test_one_channel_gives_what_the_gray_image_gave_repeated(folder, small) -> None:
    gray = torch.randn(2, 1, 32, 48, dtype=torch.float64)
    one = load_model(folder, channels=1).eval()
    torch.testing.assert_close(one(gray), small()(gray.expand(-1, 3, -1, -1)))
    weights = load_weights(folder, channels=1)
    assert weights.mean == pytest.approx((0.5,))
    assert weights.std == pytest.approx((0.2,))
    five = load_model(folder, channels=5).eval()
    assert five(gray.expand(-1, 5, -1, -1)).shape == (2, 5)


def test_one_channel_to_three_gives_each_a_third(folder, tmp_path, small) -> None:
    one = load_weights(folder, channels=1)
    native.save(one.state, one.architecture, CLASSES, tmp_path / "gray")
    three = load_model(tmp_path / "gray", channels=3).eval()
    gray = torch.randn(2, 1, 32, 48, dtype=torch.float64)
    torch.testing.assert_close(
        three(gray.expand(-1, 3, -1, -1)), load_model(folder, channels=1).eval()(gray)
    )
    kernel = three.patch_embed.proj.weight
    assert torch.equal(kernel[:, 0], kernel[:, 2])


def test_another_image_size_resizes_positions_by_the_rule(folder, small) -> None:
    model = load_model(folder, image_size=(48, 32))
    assert model.architecture.grid == (3, 2)
    assert not torch.equal(model.pos_embed, small().pos_embed)  # as many, but turned
    assert torch.equal(model.pos_embed[:, 0], small().pos_embed[:, 0])
    other = load_model(folder, image_size=(48, 32), rule="bilinear-corners")
    assert not torch.equal(model.pos_embed, other.pos_embed)
    with pytest.raises(ConfigError, match="whole number"):
        load_model(folder, image_size=(50, 32))


def test_larger_patches_give_enlarged_images_the_same_tokens(folder, small) -> None:
    large = load_model(folder, vit=VitConfig(patch_size=20)).eval()
    assert large.architecture.image_size == (40, 60)
    images = torch.randn(1, 3, 32, 48, dtype=torch.float64)
    patches = images.unfold(2, 16, 16).unfold(3, 16, 16)  # 1 c 2 3 16 16
    enlarged = torch.nn.functional.interpolate(
        patches.reshape(1, -1, 16, 16), (20, 20), mode="bicubic", antialias=True
    ).reshape(1, 3, 2, 3, 20, 20)
    whole = enlarged.permute(0, 1, 2, 4, 3, 5).reshape(1, 3, 40, 60)
    torch.testing.assert_close(large(whole), small()(images), rtol=1e-9, atol=1e-9)


def test_a_volume_of_equal_planes_gives_the_tokens_of_the_slice(folder, small) -> None:
    images = torch.randn(1, 3, 32, 48, dtype=torch.float64)
    mean = load_model(folder, image_size=(32, 32, 48)).eval()
    assert mean.architecture.patch_size == (16, 16, 16)
    volume = images[:, :, None].expand(-1, -1, 32, -1, -1)
    tokens = mean.embed(volume)
    expected = small().embed(images)
    torch.testing.assert_close(tokens[:, :7], expected)  # class token, first plane
    torch.testing.assert_close(tokens[:, 7:], expected[:, 1:])  # second plane
    only = torch.zeros_like(volume)
    only[:, :, 8] = images  # the middle plane of the first patches
    center = load_model(folder, image_size=(32, 32, 48), inflation="center").eval()
    torch.testing.assert_close(center.embed(only)[:, :7], expected)


@pytest.mark.parametrize(
    ("plane", "size"),
    [("axial", (64, 32)), ("coronal", (48, 32)), ("sagittal", (48, 64))],
)
@pytest.mark.parametrize("inflation", ["mean", "center"])
def test_a_head_alike_along_one_axis_gives_the_tokens_of_its_slices(
    small, tmp_path, plane, size, inflation
) -> None:
    model = small(channels=1, image_size=size)
    native.save(model.state_dict(), model.architecture, CLASSES, tmp_path)
    across = ("sagittal", "coronal", "axial").index(plane)
    sides = [28, 60, 44]  # x y z, filled up to 32, 64 and, above the top, 48 voxels
    sides[across] += 4
    voxels = np.random.default_rng(0).uniform(0.5, 1, sides)
    alike = np.repeat(voxels.take([0], across), sides[across], across)
    head = Volume(alike.astype(np.float32), np.diag([4.0, 4.0, 4.0, 1.0]))
    slab = SlabPreprocessing(
        size=size, spacing_mm=4.0, plane=plane, slab_mm=(0.0, 1.0), count=1
    )
    whole = VolumePreprocessing(size=(48, 64, 32), spacing_mm=4.0)
    inflated = load_model(
        tmp_path, image_size=whole.size, plane=plane, inflation=inflation
    ).eval()
    tokens = inflated.embed(_double(whole(head)))[0, 1:].unflatten(0, (3, 4, 2))
    expected = model.embed(_double(slab(head)))[0, 1:]
    turned = tokens if plane == "axial" else tokens.flip(0)  # from the top down
    for one in turned.unbind(dim=2 - across):
        torch.testing.assert_close(one.flatten(0, 1), expected)


def _double(scan: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(scan)[None].double()


def test_dropout_comes_from_the_settings_and_sizes_must_be_the_files(folder) -> None:
    vit = VitConfig(dropout=0.1, drop_path=0.2, attention_dropout=0.3, depth=3)
    made = load_model(folder, vit=vit).architecture
    assert (made.dropout, made.drop_path, made.attention_dropout) == (0.1, 0.2, 0.3)
    with pytest.raises(CheckpointError, match=r"depth is 3, vit\.depth asks for 12"):
        load_model(folder, vit=VitConfig(depth=12))
    with pytest.raises(
        CheckpointError, match=r"num_registers is 0, vit\.registers asks"
    ):
        load_model(folder, vit=VitConfig(registers=2))
    with pytest.raises(CheckpointError, match=r"no weights for vit\.pooling 'map'"):
        load_model(folder, vit=VitConfig(pooling="map"))
    pooled = load_model(folder, vit=VitConfig(pooling="mean"))
    assert pooled.architecture.pooling == "mean"
    with pytest.raises(CheckpointError, match="5 are named"):
        load_model(folder, num_classes=4, classes=CLASSES)


def test_half_precision_becomes_float32(folder, small, tmp_path) -> None:
    half = {name: value.half() for name, value in small().state_dict().items()}
    native.save(half, small().architecture, CLASSES, tmp_path / "half")
    assert load_model(tmp_path / "half").head.weight.dtype == torch.float32


def test_real_weights_name_the_photo_and_meet_their_reference(shared_data) -> None:
    folder = shared_data / "deit_tiny_weights"
    reference = json.loads((folder / "reference_outputs.json").read_text())
    path = folder / "deit_tiny_patch16_224.safetensors"
    weights = read_weights(path)
    assert weights.architecture.num_heads == 3
    model = load_model(path).eval()
    assert sum(p.numel() for p in model.parameters()) == 5_717_416

    place = torch.arange(224 * 224, dtype=torch.float64).reshape(224, 224)
    waves = torch.stack([torch.sin(0.01 * place + c) for c in range(3)])[None]
    with torch.inference_mode():
        logits = model.double()(waves)[0]
    expected = torch.tensor(reference["synthetic"]["logits_first8"])
    torch.testing.assert_close(logits[:8].float(), expected, rtol=0, atol=1e-6)
    assert int(logits.argmax()) == reference["synthetic"]["argmax"]
    assert float(logits.sum()) == pytest.approx(reference["synthetic"]["sum_logits"])

    photo = Image.open(folder / "kodim23.jpg").convert("RGB")
    scale = 256 / min(photo.size)
    size = tuple(round(side * scale) for side in photo.size)
    photo = photo.resize(size, Image.Resampling.BICUBIC)
    left, top = ((side - 224) // 2 for side in photo.size)
    pixels = np.asarray(photo.crop((left, top, left + 224, top + 224))) / 255
    assert weights.mean is not None
    normalized = (pixels - weights.mean) / weights.std
    with torch.inference_mode():
        probabilities = model(
            torch.from_numpy(normalized).permute(2, 0, 1)[None]
        ).softmax(1)[0]
    top5 = reference["kodim23"]["top5"]
    assert probabilities.topk(5).indices.tolist() == [row["index"] for row in top5]
    for row in top5:
        assert float(probabilities[row["index"]]) == pytest.approx(
            row["prob"], abs=2e-4
        )
