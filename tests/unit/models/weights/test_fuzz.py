"""Random damage to weight files: one line, or the same network; never anything else."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from vit_dementia.config import VitConfig
from vit_dementia.errors import CheckpointError
from vit_dementia.models.variants import architecture
from vit_dementia.models.vit import VisionTransformer
from vit_dementia.models.weights import read_weights


def contents() -> dict[str, bytes]:
    small = VitConfig(embed_dim=192, depth=1, num_heads=3, mlp_dim=8, patch_size=8)
    model = VisionTransformer(
        architecture("ViT-Ti/16", small, image_size=(16, 16), num_classes=2)
    )
    state = model.state_dict()
    pth, npz = io.BytesIO(), io.BytesIO()
    torch.save(state, pth)
    np.savez(npz, **{name: value.numpy() for name, value in state.items()})
    return {
        "safetensors": save(state),
        "pth": pth.getvalue(),
        "npz": npz.getvalue(),
    }


CONTENTS = contents()


@pytest.mark.fuzz
@pytest.mark.parametrize("kind", CONTENTS)
@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_damaged_files_give_one_line_or_a_network(kind, data, tmp_path) -> None:
    content = bytearray(CONTENTS[kind])
    for _ in range(data.draw(st.integers(1, 8))):
        # Half of the damage goes to the head of the file, where the structure is.
        end = data.draw(st.sampled_from([400, len(content)]))
        place = data.draw(st.integers(0, min(end, len(content)) - 1))
        content[place] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content)))]
    path = tmp_path / "weights"
    path.write_bytes(content)
    faults: tuple[str, ...] = ()
    try:
        network = read_weights(path).build()
        assert network.architecture.depth == 1
    except CheckpointError as error:
        faults = error.faults
    assert len(faults) < 2
    assert not any("\n" in fault for fault in faults)


@pytest.mark.fuzz
@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(content=st.binary(max_size=400))
def test_random_bytes_give_one_line(content, tmp_path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        read_weights(path)
    assert len(caught.value.faults) == 1
