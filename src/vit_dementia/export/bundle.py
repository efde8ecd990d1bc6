"""A MONAI bundle: a folder that MONAI's own commands verify and run.

See https://docs.monai.io/en/latest/mb_specification.html. Its preprocessing takes scans
that are prepared already, as ``preprocessing.json`` beside it says; MONAI has no
transform for that preparation.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

from vit_dementia import DISCLAIMER, __version__
from vit_dementia.export.record import shape_of
from vit_dementia.files import write_json, write_text
from vit_dementia.inference.model_folder import PREPROCESSING, SavedModel

SCRIPT = "models/model.ts"
METADATA = "configs/metadata.json"
INFERENCE = "configs/inference.json"
SCHEMA = (
    "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/"
    "meta_schema_20240725.json"
)


def write_bundle(model: SavedModel, folder: Path) -> None:
    """Write all of the bundle but the network."""
    (folder / SCRIPT).parent.mkdir(parents=True, exist_ok=True)
    write_json(folder / METADATA, _metadata(model))
    write_json(folder / INFERENCE, _inference(model))
    write_json(folder / "configs" / PREPROCESSING, model.preprocessing.to_dict())
    write_text(folder / "docs" / "README.md", _readme(model))


def _metadata(model: SavedModel) -> dict[str, Any]:
    channels, *space = shape_of(model)
    mean, std = model.preprocessing.mean, model.preprocessing.std
    answer = {
        "type": "probabilities",
        "num_channels": len(model.classes),
        "spatial_shape": [1],
        "dtype": "float32",
        "is_patch_data": False,
    }
    classes = {str(index): name for index, name in enumerate(model.classes)}
    return {
        "schema": SCHEMA,
        "version": "1.0.0",
        "changelog": {"1.0.0": "written by vit-dementia"},
        "monai_version": metadata.version("monai"),
        "pytorch_version": metadata.version("torch"),
        "numpy_version": metadata.version("numpy"),
        "required_packages_version": {},
        "task": "Tell stages of dementia from brain MRI",
        "description": (
            f"A Vision Transformer by vit-dementia {__version__}, weights "
            f"{model.sha256}. {DISCLAIMER}"
        ),
        "authors": "whoever trained it",
        "copyright": "whoever trained it",
        "intended_use": DISCLAIMER,
        "pred_classes": ", ".join(model.classes),
        "references": ["Dosovitskiy et al. 2021, arXiv 2010.11929"],
        "network_data_format": {
            "inputs": {
                "image": {
                    "type": "image",
                    "format": "magnitude",
                    "modality": "MR",
                    "num_channels": channels,
                    "spatial_shape": space,
                    "dtype": "float32",
                    "value_range": [(0 - mean) / std, (1 - mean) / std],
                    "is_patch_data": False,
                    "channel_def": {str(index): "image" for index in range(channels)},
                }
            },
            "outputs": {
                "pred": answer
                | {"format": "logits", "value_range": [], "channel_def": classes}
            },
            "post_processed_outputs": {
                "pred": answer
                | {"format": "softmax", "value_range": [0, 1], "channel_def": classes}
            },
        },
    }


def _inference(model: SavedModel) -> dict[str, Any]:
    preprocessing = model.preprocessing
    return {
        "imports": ["$import glob", "$import torch"],
        "bundle_root": ".",
        "device": "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
        "dataset_dir": "$@bundle_root + '/prepared'",
        "files": "$sorted(glob.glob(@dataset_dir + '/*'))",
        "network_def": {
            "_target_": "torch.jit.load",
            "f": f"$@bundle_root + '/{SCRIPT}'",
            "map_location": "@device",
        },
        "network": "$@network_def.eval()",
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {
                    "_target_": "LoadImaged",
                    "keys": "image",
                    "reader": "PILReader",
                    "reverse_indexing": False,  # rows first, as the network has them
                },
                {"_target_": "EnsureChannelFirstd", "keys": "image"},
                {
                    "_target_": "ScaleIntensityRanged",
                    "keys": "image",
                    "a_min": 0,
                    "a_max": 255,
                    "b_min": 0,
                    "b_max": 1,
                },
                {
                    "_target_": "NormalizeIntensityd",
                    "keys": "image",
                    "subtrahend": preprocessing.mean,
                    "divisor": preprocessing.std,
                },
            ],
        },
        "dataset": {
            "_target_": "Dataset",
            "data": "$[{'image': name} for name in @files]",
            "transform": "@preprocessing",
        },
        "inferer": {"_target_": "SimpleInferer"},
        "postprocessing": {"_target_": "Activations", "softmax": True},
        "predictions": (
            "$[@postprocessing(@inferer(scan['image'][None].to(@device), @network)[0]"
            ".detach()) for scan in @dataset]"
        ),
        "run": ["$print(list(zip(@files, @predictions)))"],
    }


def _readme(model: SavedModel) -> str:
    return "\n".join(
        [
            "# Vision Transformer for brain MRI",
            "",
            DISCLAIMER,
            "",
            f"Classes, in the order of the logits: {', '.join(model.classes)}.",
            "",
            f"`configs/{PREPROCESSING}` says how a scan becomes the input. The bundle"
            " takes scans that are prepared already, in 8 bit.",
            "",
        ]
    )
