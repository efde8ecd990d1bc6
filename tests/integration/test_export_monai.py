"""A MONAI bundle that MONAI's own commands verify, open and run."""

from __future__ import annotations

import json
from hashlib import md5

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser, verify_metadata, verify_net_in_out
from PIL import Image

from vit_dementia.inference.model_folder import read_model_folder

from .conftest import CLASSES, TINY, paint_cohort

pytestmark = [
    # PyTorch would have torch.export, which MONAI cannot put into evaluation mode.
    pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning"),
    # MONAI looks for every reader it knows before it takes the one that is named.
    pytest.mark.filterwarnings("ignore:NvImgCodecPydicomReader:UserWarning"),
]

# What MONAI asks of metadata.json, in the words of its bundle specification; its own
# schema file would be downloaded.
TENSOR = {
    "type": "object",
    "properties": {
        "type": {"type": "string"},
        "format": {"type": "string"},
        "num_channels": {"type": "integer"},
        "spatial_shape": {"type": "array", "items": {"type": ["string", "integer"]}},
        "dtype": {"type": "string"},
        "value_range": {"type": "array", "items": {"type": "number"}},
        "is_patch_data": {"type": "boolean"},
        "channel_def": {"type": "object"},
    },
    "required": [
        "type", "format", "num_channels", "spatial_shape", "dtype", "value_range",
    ],
}  # fmt: skip
TENSORS = {"type": "object", "additionalProperties": TENSOR}
TEXTS = (
    "schema", "version", "monai_version", "pytorch_version", "numpy_version", "task",
    "description", "authors", "copyright",
)  # fmt: skip
SCHEMA = {
    "$schema": "https://json-schema.org/draft/2019-09/schema",
    "type": "object",
    "properties": {
        **{name: {"type": "string"} for name in TEXTS},
        "changelog": {"type": "object"},
        "required_packages_version": {"type": "object"},
        "references": {"type": "array", "items": {"type": "string"}},
        "network_data_format": {
            "type": "object",
            "properties": {"inputs": TENSORS, "outputs": TENSORS},
            "required": ["inputs", "outputs"],
        },
    },
    "required": [*TEXTS, "required_packages_version", "network_data_format"],
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """Return a folder with a run and its bundle."""
    from vit_dementia.cli.app import run

    folder = tmp_path_factory.mktemp("bundle")
    data = paint_cohort(folder / "data")
    flags = (*TINY, "--epochs=1", "--learning-rate=1e-2", "--cache", str(folder / "c"))
    assert run(["train", str(data), *flags, "--out", str(folder / "run")]) == 0
    out = str(folder / "out")
    assert run(["export", str(folder / "run"), out, "--format", "monai"]) == 0
    return folder


def test_monai_verifies_the_metadata(bundle, tmp_path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text(json.dumps(SCHEMA))
    file = bundle / "out" / "configs" / "metadata.json"
    given = {"filepath": str(schema), "hash_val": md5(schema.read_bytes()).hexdigest()}
    verify_metadata(meta_file=str(file), **given)
    broken = json.loads(file.read_text())
    del broken["network_data_format"]
    (tmp_path / "broken.json").write_text(json.dumps(broken))
    with pytest.raises(ValueError, match="network_data_format"):
        verify_metadata(meta_file=str(tmp_path / "broken.json"), **given)


def test_monai_verifies_the_input_and_output_of_the_network(bundle) -> None:
    verify_net_in_out(
        net_id="network_def",
        meta_file=str(bundle / "out" / "configs" / "metadata.json"),
        config_file=str(bundle / "out" / "configs" / "inference.json"),
        bundle_root=str(bundle / "out"),
        device="cpu",
    )


def test_the_bundle_runs_on_prepared_slices_and_gives_our_probabilities(
    bundle, tmp_path
) -> None:
    model = read_model_folder(bundle / "run")
    files = sorted((bundle / "data").rglob("*.png"))[:2]
    prepared = np.stack([model.preprocessing.read(file) for file in files])
    for number, scan in enumerate(prepared):
        Image.fromarray(scan[0]).save(tmp_path / f"{number}.png")
    parser = ConfigParser()
    parser.read_config(str(bundle / "out" / "configs" / "inference.json"))
    parser["bundle_root"] = str(bundle / "out")
    parser["dataset_dir"] = str(tmp_path)
    parser["device"] = "$torch.device('cpu')"
    told = [np.asarray(one) for one in parser.get_parsed_content("predictions")]
    with torch.inference_mode():
        inputs = model.preprocessing.normalize(torch.from_numpy(prepared))
        expected = model.network(inputs).softmax(dim=1)
    np.testing.assert_allclose(np.stack(told), expected.numpy(), atol=1e-5)
    assert len(CLASSES) == expected.shape[1]
