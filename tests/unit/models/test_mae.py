"""Our masked auto-encoder, against the one of transformers and by its properties."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from transformers import ViTMAEConfig, ViTMAEForPreTraining

from vit_dementia.config import MaskConfig
from vit_dementia.errors import ConfigError
from vit_dementia.models.description import Architecture
from vit_dementia.models.mae import (
    MaskedAutoencoder,
    choose_shown,
    images_of,
    patches_of,
)
from vit_dementia.models.vit import VisionTransformer

SETTINGS = MaskConfig(decoder_dim=24, decoder_depth=2, decoder_heads=4)
ENCODER = Architecture(
    image_size=(16, 16), patch_size=(4, 4), channels=2, num_classes=0,
    embed_dim=32, depth=2, num_heads=4, mlp_dim=64,
)  # fmt: skip


def _ours(architecture=ENCODER) -> MaskedAutoencoder:
    generator = torch.Generator().manual_seed(0)
    encoder = VisionTransformer(architecture, generator)
    return MaskedAutoencoder(encoder, SETTINGS, generator).eval()


def _theirs() -> ViTMAEForPreTraining:
    torch.manual_seed(1)
    config = ViTMAEConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=64, decoder_hidden_size=24, decoder_num_hidden_layers=2,
        decoder_num_attention_heads=4, decoder_intermediate_size=96, image_size=16,
        patch_size=4, num_channels=2, norm_pix_loss=True, layer_norm_eps=1e-6,
    )  # fmt: skip
    model = ViTMAEForPreTraining(config).eval()
    for parameter in model.parameters():  # biases that begin at 0 would hide faults
        parameter.data = torch.randn_like(parameter) * 0.2
    return model


def _block(theirs: dict[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    """Return one of their layers under our names."""
    ours = {}
    for kind in ("weight", "bias"):
        query, key, value = (
            theirs[f"{name}.attention.{letter}_proj.{kind}"] for letter in "qkv"
        )
        ours |= {
            f"attn.qkv.{kind}": torch.cat([query, key, value]),
            f"attn.proj.{kind}": theirs[f"{name}.attention.o_proj.{kind}"],
            f"norm1.{kind}": theirs[f"{name}.layernorm_before.{kind}"],
            f"norm2.{kind}": theirs[f"{name}.layernorm_after.{kind}"],
            f"mlp.fc1.{kind}": theirs[f"{name}.mlp.fc1.{kind}"],
            f"mlp.fc2.{kind}": theirs[f"{name}.mlp.fc2.{kind}"],
        }
    return ours


def _with_their_weights(theirs: ViTMAEForPreTraining) -> MaskedAutoencoder:
    state, ours = theirs.state_dict(), _ours()
    renamed = {
        "encoder.cls_token": state["vit.embeddings.cls_token"],
        "encoder.pos_embed": state["vit.embeddings.position_embeddings"],
        "mask_token": state["decoder.mask_token"],
        # Theirs is a table of the same waves that is never learned.
        "decoder_pos_embed": state["decoder.decoder_pos_embed"][:, 1:],
    }
    for kind in ("weight", "bias"):
        projection = f"vit.embeddings.patch_embeddings.projection.{kind}"
        renamed |= {
            f"encoder.patch_embed.proj.{kind}": state[projection],
            f"encoder.norm.{kind}": state[f"vit.layernorm.{kind}"],
            **{
                f"decoder_{part}.{kind}": state[f"decoder.decoder_{part}.{kind}"]
                for part in ("embed", "norm", "pred")
            },
        }
    for layer in range(2):
        for their_name, our_name in (
            (f"vit.layers.{layer}", f"encoder.blocks.{layer}"),
            (f"decoder.decoder_layers.{layer}", f"decoder_blocks.{layer}"),
        ):
            block = _block(state, their_name)
            renamed |= {f"{our_name}.{key}": value for key, value in block.items()}
    ours.load_state_dict(renamed)
    return ours


def test_the_loss_is_that_of_transformers_with_the_same_weights_and_mask() -> None:
    theirs = _theirs()
    theirs.decoder.decoder_pos_embed.data[:, :1] = 0  # ours: no patch has no place
    ours = _with_their_weights(theirs)
    images, noise = torch.randn(3, 2, 16, 16), torch.rand(3, 16)
    told = theirs(images, noise=noise)
    shown = noise.argsort(dim=1)[:, :4]
    torch.testing.assert_close(ours(images, shown).mean(), told.loss)
    torch.testing.assert_close(ours.reconstruct(images, shown), told.logits)


def test_their_table_of_positions_is_ours() -> None:
    theirs = _theirs().decoder
    theirs.initialize_weights(num_patches=16)
    torch.testing.assert_close(
        _ours().decoder_pos_embed, theirs.decoder_pos_embed[:, 1:]
    )


def test_nothing_of_a_hidden_patch_reaches_the_encoder() -> None:
    model, images = _ours(), torch.randn(1, 2, 16, 16)
    shown = torch.tensor([[0, 5, 10, 15]])
    changed = images.clone()
    changed[..., 4:8, 0:4] += 1.0  # patch 4
    before, after = (model.reconstruct(x, shown) for x in (images, changed))
    torch.testing.assert_close(before, after)
    changed[..., 4:8, 4:8] += 1.0  # patch 5, which is shown
    assert not torch.allclose(before, model.reconstruct(changed, shown))


def test_showing_everything_is_what_the_encoder_does_alone() -> None:
    model, images = _ours(), torch.randn(2, 2, 16, 16)
    everything = torch.arange(16).expand(2, -1)
    torch.testing.assert_close(
        model.encode(images, everything), model.encoder.forward_features(images)
    )


def test_patches_without_a_head_are_neither_shown_nor_asked_for() -> None:
    whole = _ours()
    read = (1, 2, 5, 6, 9)
    model = MaskedAutoencoder(
        whole.encoder.seeing(read), SETTINGS, torch.Generator().manual_seed(0)
    ).eval()
    images, shown = torch.randn(2, 2, 16, 16), torch.tensor([[0, 3], [4, 2]])
    assert model.reconstruct(images, shown).shape == (2, 5, 32)
    changed = images.clone()
    changed[..., 0:4, 0:4] += 1.0  # patch 0 is never read
    torch.testing.assert_close(model(images, shown), model(changed, shown))
    # The encoder sees patches 1 and 6, and 9 and 5, of the whole image.
    there = torch.tensor([[1, 6], [9, 5]])
    torch.testing.assert_close(model.encode(images, shown), whole.encode(images, there))


@pytest.mark.parametrize(
    ("image", "patch"), [((16, 8), (4, 2)), ((8, 16, 8), (4, 4, 2))]
)
def test_images_are_their_patches_put_together(image, patch) -> None:
    axes = {"image_size": image, "patch_size": patch}
    a = replace(ENCODER, **axes)
    images = torch.randn(2, 2, *image)
    patches = patches_of(images, a)
    assert patches.shape[1] == a.num_patches
    torch.testing.assert_close(images_of(patches, a), images)
    some = replace(a, visible=(0, 3))
    assert (
        images_of(patches_of(images, some), some).count_nonzero()
        == 2 * 2 * (patches.shape[2])
    )


def test_a_patch_is_asked_for_without_its_mean_and_deviation() -> None:
    model, images = _ours(), torch.rand(2, 2, 16, 16)
    targets = model.targets(images)
    torch.testing.assert_close(
        model.targets(3 * images + 7), targets, atol=1e-4, rtol=0
    )
    torch.testing.assert_close(
        targets.mean(dim=2), torch.zeros(2, 16), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("hidden", [0.01, 0.75, 0.99])
def test_something_is_always_shown_and_something_asked_for(hidden) -> None:
    shown = choose_shown(torch.rand(5, 8), hidden=hidden)
    assert 1 <= shown.shape[1] <= 7
    assert (shown.sort(dim=1).values.diff(dim=1) > 0).all()  # no patch twice


@pytest.mark.parametrize(
    "wrong", [{"hidden": 0.0}, {"hidden": 1.0}, {"decoder_depth": 0}]
)
def test_settings_that_hide_nothing_are_refused(wrong) -> None:
    with pytest.raises(ConfigError, match="mask"):
        MaskConfig(**wrong)


def test_a_volume_is_filled_in_by_the_decoder_of_the_defaults() -> None:
    """Its 128 numbers do not hold whole waves for three axes."""
    volume = replace(ENCODER, image_size=(8, 12, 16), patch_size=(4, 4, 4), channels=1)
    generator = torch.Generator().manual_seed(0)
    encoder = VisionTransformer(volume, generator)
    model = MaskedAutoencoder(encoder, MaskConfig(), generator).eval()
    places = model.decoder_pos_embed[0]
    assert len(places.unique(dim=0)) == len(places) == volume.num_patches
    images = torch.randn(2, 1, 8, 12, 16)
    noise = torch.rand(2, volume.num_patches, generator=generator)
    loss = model(images, choose_shown(noise, hidden=0.75))
    assert loss.shape == (2,)
    assert loss.isfinite().all()
