"""Against transformers itself, which reads and writes these files."""

from __future__ import annotations

import json
import warnings

import pytest
import torch
from safetensors.torch import load_file, save_file

from vit_dementia.errors import CheckpointError
from vit_dementia.models.weights import load_model, read_weights
from vit_dementia.models.weights.huggingface import from_huggingface, to_huggingface
from vit_dementia.models.weights.record import Weights
from vit_dementia.models.weights.saving import save_weights

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    transformers = pytest.importorskip("transformers")

CONFIG = {
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "image_size": 32,
    "patch_size": 16,
    "num_channels": 3,
    "attn_implementation": "eager",
}
NAMES = {0: "CN", 1: "MCI", 2: "AD"}


@pytest.fixture(autouse=True)
def _softmax_keeps_float64(monkeypatch) -> None:
    """Their eager attention rounds its softmax to float32; here it may not."""
    exact = torch.nn.functional.softmax
    monkeypatch.setattr(
        "torch.nn.functional.softmax",
        lambda x, dim=None, dtype=None, **_: exact(x, dim=dim),
    )


def randomized(model, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3, generator=generator)
    return model.double().eval()


def classifier(**settings):
    config = transformers.ViTConfig(**CONFIG | {"id2label": NAMES} | settings)
    return randomized(transformers.ViTForImageClassification(config))


def assert_equal(ours, theirs, images, logits_of) -> None:
    images = images.clone().requires_grad_()
    z, blocks = ours.embed(images), []
    for block in ours.blocks:
        z = block(z)
        blocks.append(z)
    out = theirs(images, output_attentions=True, output_hidden_states=True)
    close = {"rtol": 1e-9, "atol": 1e-9}
    torch.testing.assert_close(ours(images), logits_of(out), **close)
    torch.testing.assert_close(ours.embed(images), out.hidden_states[0], **close)
    for mine, their in zip(blocks, out.hidden_states[1:], strict=True):
        torch.testing.assert_close(mine, their, **close)
    maps = ours.attention_weights(images)
    for mine, their in zip(maps, out.attentions, strict=True):
        torch.testing.assert_close(mine, their, **close)
    mine, their = (
        torch.autograd.grad(logits.square().sum(), images)[0]
        for logits in (ours(images), logits_of(theirs(images)))
    )
    torch.testing.assert_close(mine, their, **close)
    single = images.detach().float()
    expected = theirs.float()(single)
    torch.testing.assert_close(
        ours.float()(single), logits_of(expected), rtol=3e-5, atol=3e-5
    )


@pytest.fixture
def square() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, 3, 32, 32, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("names_of_release_4", [True, False])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"layer_norm_eps": 1e-6},
        {"hidden_act": "gelu_pytorch_tanh"},
        {"hidden_act": "gelu_new", "qkv_bias": False},
    ],
)
def test_a_classifier_gives_the_same_network(
    settings, names_of_release_4, square, tmp_path
) -> None:
    theirs = classifier(**settings)
    theirs.save_pretrained(tmp_path, save_original_format=names_of_release_4)
    stem = "vit.encoder.layer.0" if names_of_release_4 else "vit.layers.0"
    assert any(k.startswith(stem) for k in load_file(tmp_path / "model.safetensors"))
    weights = read_weights(tmp_path)
    assert weights.classes == ("CN", "MCI", "AD")
    assert weights.rule == "bicubic"
    assert_equal(load_model(tmp_path).eval(), theirs, square, lambda out: out.logits)


def test_eps_of_1e_minus_12_is_taken_seriously(square, tmp_path) -> None:
    """The trap: a default that most converters replace by 1e-6."""
    theirs = classifier()
    theirs.save_pretrained(tmp_path)
    ours = load_model(tmp_path).eval()
    assert ours.architecture.layer_norm_eps == 1e-12
    (tmp_path / "config.json").unlink()  # the default of the class, as written
    bare = load_model(tmp_path / "model.safetensors", vit=_three_heads()).eval()
    torch.testing.assert_close(bare(square), ours(square))
    for norm in ours.modules():
        if isinstance(norm, torch.nn.LayerNorm):
            norm.eps = 1e-6
    assert (ours(square) - theirs(square).logits).abs().max() > 1e-8


def _three_heads():
    from vit_dementia.config import VitConfig

    return VitConfig(num_heads=3)


def test_queries_taken_for_keys_would_be_seen(square, tmp_path) -> None:
    theirs = classifier(layer_norm_eps=1e-6)
    theirs.save_pretrained(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    for i in range(3):
        for leaf in ("weight", "bias"):
            start = f"vit.encoder.layer.{i}.attention.attention"
            q, k = (f"{start}.{part}.{leaf}" for part in ("query", "key"))
            state[q], state[k] = state[k], state[q]
    save_file(state, tmp_path / "model.safetensors")
    ours = load_model(tmp_path).eval()
    assert (ours(square) - theirs(square).logits).abs().max() > 1e-3


def test_a_feature_model_keeps_its_pooler(square, tmp_path) -> None:
    theirs = randomized(transformers.ViTModel(transformers.ViTConfig(**CONFIG)))
    theirs.save_pretrained(tmp_path)
    ours = load_model(tmp_path).eval()
    assert ours.architecture.pre_logits == 24
    assert_equal(ours, theirs, square, lambda out: out.pooler_output)
    torch.testing.assert_close(
        ours.float().forward_features(square.float()),
        theirs(square.float()).last_hidden_state,
    )


def test_a_distilled_deit_is_read(square, tmp_path) -> None:
    teacher = randomized(
        transformers.DeiTForImageClassificationWithTeacher(
            transformers.DeiTConfig(**CONFIG)
        )
    )
    teacher.save_pretrained(tmp_path / "deit")
    ours = load_model(tmp_path / "deit").eval()
    assert ours.architecture.distilled
    assert_equal(ours, teacher, square, lambda out: out.logits)


@pytest.mark.parametrize("names_of_release_4", [True, False])
@pytest.mark.parametrize("registers", [0, 4])
@pytest.mark.parametrize("gated", [False, True])
def test_dinov2_is_read_gated_and_with_registers(
    square, tmp_path, names_of_release_4, registers, gated
) -> None:
    theirs = dinov2(registers, use_swiglu_ffn=gated)
    theirs.save_pretrained(tmp_path, save_original_format=names_of_release_4)
    ours = load_model(tmp_path).eval()
    assert ours.architecture.activation == ("swiglu" if gated else "gelu")
    assert ours.architecture.num_registers == registers
    assert_equal(ours, theirs, square, lambda out: out.pooler_output)
    (tmp_path / "config.json").unlink()  # the rest is told by names and shapes
    bare = load_model(tmp_path / "model.safetensors", vit=_three_heads())
    assert bare.architecture == ours.architecture


def dinov2(registers: int, **settings):
    config = CONFIG | {"mlp_ratio": 2} | settings
    del config["intermediate_size"]
    if registers:
        return randomized(
            transformers.Dinov2WithRegistersModel(
                transformers.Dinov2WithRegistersConfig(
                    **config, num_register_tokens=registers
                )
            )
        )
    return randomized(transformers.Dinov2Model(transformers.Dinov2Config(**config)))


@pytest.mark.parametrize("registers", [0, 4])
def test_another_size_gives_what_dinov2_of_transformers_gives(
    tmp_path, registers
) -> None:
    theirs = dinov2(registers).float()  # it resizes in single precision
    theirs.save_pretrained(tmp_path)
    images = torch.randn(2, 3, 64, 48)
    ours = load_model(tmp_path, image_size=(64, 48)).eval()
    expected = theirs(images).pooler_output
    torch.testing.assert_close(ours(images), expected, rtol=3e-5, atol=3e-5)


def test_another_size_gives_what_the_classifier_of_transformers_gives(tmp_path) -> None:
    theirs = classifier()
    theirs.save_pretrained(tmp_path)
    images = torch.randn(2, 3, 64, 48, dtype=torch.float64)
    ours = load_model(tmp_path, image_size=(64, 48)).eval()
    expected = theirs(images, interpolate_pos_encoding=True).logits
    torch.testing.assert_close(ours(images), expected, rtol=1e-9, atol=1e-9)


def test_a_masked_autoencoder_gives_its_encoder(square, tmp_path) -> None:
    config = transformers.ViTMAEConfig(
        **CONFIG,
        mask_ratio=0.0,
        decoder_hidden_size=24,
        decoder_num_attention_heads=3,
        decoder_num_hidden_layers=1,
        decoder_intermediate_size=24,
    )
    theirs = randomized(transformers.ViTMAEForPreTraining(config))
    theirs.save_pretrained(tmp_path)
    ours = load_model(tmp_path).eval()
    noise = torch.arange(4.0).expand(2, -1)  # keeps the order of the patches
    expected = theirs.vit(square, noise=noise).last_hidden_state
    torch.testing.assert_close(
        ours.forward_features(square), expected, rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_act": "relu"}, "hidden_act 'relu'"),
        ({"model_type": "swin"}, "model_type 'swin'"),
        ({"num_hidden_layers": 4}, r"missing blocks\.3"),
        ({"num_hidden_layers": 2}, r"unexpected blocks\.2"),
        ({"num_attention_heads": 5}, "cannot be shared by 5"),
        ({"image_size": 48}, "has 5 positions"),
        ({"id2label": {"0": "a"}}, "name for each output"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(change, message, tmp_path) -> None:
    classifier().save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(CheckpointError, match=message) as caught:
        load_model(tmp_path)
    assert len(caught.value.faults) == 1


def test_names_there_and_back_are_bit_for_bit_the_same(small) -> None:
    model = small()
    state = model.state_dict()
    back = from_huggingface(to_huggingface(state, model.architecture))
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], state[name]) for name in state)


def weights_like(model, **settings) -> Weights:
    known = {
        "state": model.state_dict(),
        "architecture": model.architecture,
        "classes": ("a", "b", "c", "d", "e"),
        "mean": (0.3,) * model.architecture.channels,
        "std": (0.2,) * model.architecture.channels,
        "layout": "native",
        "rule": "bicubic-antialias",
    }
    return Weights(**known | settings)


@pytest.mark.parametrize("settings", [{}, {"activation": "gelu_tanh"}])
def test_transformers_opens_what_is_written(small, images, tmp_path, settings) -> None:
    model = small(**settings)
    save_weights(weights_like(model), tmp_path, "huggingface")
    theirs = transformers.ViTForImageClassification.from_pretrained(
        tmp_path, dtype=torch.float64
    ).eval()
    torch.testing.assert_close(
        theirs(images).logits, model(images), rtol=1e-9, atol=1e-9
    )
    assert theirs.config.id2label == dict(enumerate("abcde"))
    read = read_weights(tmp_path)
    assert (read.mean, read.std) == ((0.3,) * 3, (0.2,) * 3)
    again = load_model(tmp_path).eval()
    assert torch.equal(again(images), model(images))


def test_a_gray_network_is_written_for_a_pipeline_that_gives_three(
    small, tmp_path
) -> None:
    model = small(channels=1)
    save_weights(weights_like(model), tmp_path / "three", "huggingface")
    kernel = load_file(tmp_path / "three" / "model.safetensors")[
        "vit.embeddings.patch_embeddings.projection.weight"
    ]
    torch.testing.assert_close(kernel[:, :1] * 3, model.patch_embed.proj.weight.data)
    rng = torch.Generator().manual_seed(0)
    gray = (torch.rand(40, 50, generator=rng) * 255).byte().numpy()
    from PIL import Image

    pipe = transformers.pipeline(
        "image-classification", model=str(tmp_path / "three"), dtype=torch.float64
    )
    answer = {
        row["label"]: row["score"] for row in pipe(Image.fromarray(gray), top_k=5)
    }
    resized = Image.fromarray(gray).resize((48, 32), Image.Resampling.BICUBIC)
    x = torch.from_numpy(__import__("numpy").asarray(resized) / 255.0)[None, None]
    expected = model((x - 0.3) / 0.2).softmax(1)[0]
    for label, p in zip("abcde", expected.tolist(), strict=True):
        assert answer[label] == pytest.approx(p, abs=0.02)  # another resizing code
    save_weights(weights_like(model), tmp_path / "one", "huggingface", channels=1)
    one = transformers.ViTForImageClassification.from_pretrained(
        tmp_path / "one", dtype=torch.float64
    ).eval()
    image = torch.randn(1, 1, 32, 48, dtype=torch.float64)
    torch.testing.assert_close(one(image).logits, model(image), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layer_scale": 0.1}, "layer_scale is 0.1"),
        ({"num_registers": 2}, "num_registers is 2"),
        ({"pooling": "mean"}, "pooling is 'mean'"),
        ({"qk_norm": True, "pre_logits": 3}, "qk_norm is True.*pre_logits is 3"),
    ],
)
def test_what_cannot_be_expressed_is_refused_before_anything_is_written(
    small, tmp_path, settings, message
) -> None:
    with pytest.raises(CheckpointError, match=message):
        save_weights(weights_like(small(**settings)), tmp_path / "x", "huggingface")
    assert not (tmp_path / "x").exists()


def test_a_file_without_a_folder_is_read_by_its_names(small, tmp_path) -> None:
    model = small(image_size=(32, 32), layer_norm_eps=1e-12, embed_dim=192, mlp_dim=64)
    state = to_huggingface(model.state_dict(), model.architecture)
    path = tmp_path / "weights.safetensors"
    save_file({k: v.contiguous() for k, v in state.items()}, path)
    assert load_model(path).architecture == model.architecture
