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

# What MONAI asks of metadata.json: its fields, their types, and which are required by
# the schema of 2024-07-25, which the file names; MONAI itself would download that.
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
ARGUMENT = {"anyOf": [{"type": ["number", "string", "boolean"]}, TENSOR]}
ARGUMENTS = {"type": "object", "additionalProperties": ARGUMENT}
NETWORK = {
    "type": "object",
    "properties": dict.fromkeys(
        ("inputs", "outputs", "post_processed_outputs"), ARGUMENTS
    ),
    "required": ["inputs", "outputs"],
}
TEXTS = (
    "schema", "version", "monai_version", "pytorch_version", "numpy_version", "task",
    "description", "authors", "copyright",
)  # fmt: skip
OPTIONAL = (
    "data_source", "data_type", "image_classes", "label_classes", "pred_classes",
    "intended_use",
)  # fmt: skip
REQUIRED = [*TEXTS, "required_packages_version", "network_data_format"]
SCHEMA = {
    "$schema": "https://json-schema.org/draft/2019-09/schema",
    "type": "object",
    "properties": {
        **{name: {"type": "string"} for name in (*TEXTS, *OPTIONAL)},
        "changelog": {"type": "object"},
        "required_packages_version": {"type": "object"},
        "eval_metrics": {"type": "object"},
        "supported_apps": {"type": "object"},
        "references": {"type": "array", "items": {"type": "string"}},
    },
    "patternProperties": {"^[_a-zA-Z0-9]+_data_format$": NETWORK},
    "required": REQUIRED,
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
    whole = json.loads(file.read_text())
    assert set(whole) <= {*SCHEMA["properties"], "network_data_format"}
    for name in REQUIRED[1:]:  # without the first, MONAI looks for no schema
        broken = {key: value for key, value in whole.items() if key != name}
        (tmp_path / "broken.json").write_text(json.dumps(broken))
        with pytest.raises(ValueError, match=name):
            verify_metadata(meta_file=str(tmp_path / "broken.json"), **given)


def test_the_metadata_says_what_the_network_takes_and_gives(bundle) -> None:
    told = json.loads((bundle / "out" / "configs" / "metadata.json").read_text())
    network = torch.jit.load(str(bundle / "out" / "models" / "model.ts"))
    (shown,) = told["network_data_format"]["inputs"].values()
    (given,) = told["network_data_format"]["outputs"].values()
    low, high = shown["value_range"]
    preprocessing = read_model_folder(bundle / "run").preprocessing
    ends = preprocessing.normalize(torch.tensor([[[[0, 255]]]], dtype=torch.uint8))
    assert ends.flatten().tolist() == pytest.approx([low, high])
    images = torch.empty(2, shown["num_channels"], *shown["spatial_shape"])
    images.uniform_(low, high)
    assert str(images.dtype) == f"torch.{shown['dtype']}"
    logits = network(images)
    assert logits.shape == (2, given["num_channels"])
    assert [given["channel_def"][str(n)] for n in range(len(CLASSES))] == list(CLASSES)


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
