"""Names of published weights, fetched once into the ordinary caches.

``hf-hub:OWNER/NAME``
    a model of the Hugging Face hub, in transformers' or timm's layout.
``torchvision:vit_b_16``
    a file of torchvision; its name carries the start of its SHA-256, which is checked.
``google:NAME.npz``
    a file of Google's public bucket, such as ``google:imagenet21k/ViT-B_16.npz``.
"""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path

from vit_dementia.download import connected
from vit_dementia.errors import CheckpointError, DataError
from vit_dementia.files import replacing, sha256_of
from vit_dementia.limits import LIMITS

TORCHVISION = "https://download.pytorch.org/models/"
# As torchvision 0.28 names them (ImageNet-1k, first recipe).
TORCHVISION_FILES = {
    "vit_b_16": "vit_b_16-c867db91.pth",
    "vit_b_32": "vit_b_32-d86f8d99.pth",
    "vit_l_16": "vit_l_16-852ce7e3.pth",
    "vit_l_32": "vit_l_32-c7638314.pth",
    "vit_h_14": "vit_h_14_swag-80465313.pth",
}
GOOGLE = "https://storage.googleapis.com/vit_models/"
_HUB_FILES = (
    "config.json",
    "preprocessor_config.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "model-*.safetensors",
    "pytorch_model.bin",
)


def is_name(source: str | Path) -> bool:
    """Say whether this is a name of published weights and not a path.

    >>> is_name("hf-hub:owner/name"), is_name("models/vit.pth")
    (True, False)
    """
    return str(source).startswith(("hf-hub:", "torchvision:", "google:"))


def fetched(source: str) -> Path:
    """Return where the weights of this name lie, fetching them the first time.

    Raises:
        CheckpointError: if there are no such weights, no network, or the hash is wrong.
    """
    kind, _, name = source.partition(":")
    if kind == "hf-hub":
        return _from_hub(source, name)
    if kind == "google":
        file = Path(name).name
        return _download(source, GOOGLE + name, _torch_hub() / f"google-{file}")
    if name not in TORCHVISION_FILES:
        raise CheckpointError(
            f"{source}: torchvision has no such Vision Transformer; needs one of"
            f" {', '.join(TORCHVISION_FILES)}"
        )
    file = TORCHVISION_FILES[name]
    start_of_hash = file.rpartition("-")[2].removesuffix(".pth")
    return _download(source, TORCHVISION + file, _torch_hub() / file, start_of_hash)


def _torch_hub() -> Path:
    """Return the folder that torch.hub keeps weights in."""
    home = os.environ.get("TORCH_HOME") or str(
        Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "torch"
    )
    return Path(home).expanduser() / "hub" / "checkpoints"


def _download(source: str, url: str, path: Path, start_of_hash: str = "") -> Path:
    if not path.is_file():
        try:
            with replacing(path) as aside:
                _copy(source, url, aside)
                _check_hash(source, aside, start_of_hash)
        except (OSError, DataError) as error:
            raise CheckpointError(
                f"{source}: cannot be fetched ({error}), and {path} is not there; needs"
                " the network once, or a file of weights on disk"
            ) from error
    _check_hash(source, path, start_of_hash)
    return path


def _copy(source: str, url: str, path: Path) -> None:
    """Fetch a file, comparing the MD5 that Google's storage sends along."""
    digest = hashlib.md5(usedforsecurity=False)
    with (
        connected(url) as answer,
        path.open("wb") as file,
    ):
        while block := answer.read(1 << 20):
            digest.update(block)
            file.write(block)
            if file.tell() > LIMITS.weight_bytes:
                raise CheckpointError(
                    f"{source}: {url} sends more than the {LIMITS.weight_bytes} bytes "
                    "that are read"
                )
        told = answer.headers.get_all("x-goog-hash") or []
    md5 = base64.b64encode(digest.digest()).decode()
    if any(line.startswith("md5=") and line[4:] != md5 for line in told):
        raise CheckpointError(
            f"{source}: what came from {url} has not the MD5 that was announced; fetch"
            " it again"
        )


def _check_hash(source: str, path: Path, start_of_hash: str) -> None:
    if start_of_hash and not sha256_of(path).startswith(start_of_hash):
        raise CheckpointError(
            f"{source}: the SHA-256 of {path} does not begin {start_of_hash}; the file"
            " is damaged; delete it and fetch it again"
        )


def _from_hub(source: str, name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    repository, _, revision = name.partition("@")
    try:
        folder = snapshot_download(
            repository,
            revision=revision or None,
            allow_patterns=list(_HUB_FILES),
        )
    except (OSError, HfHubHTTPError, HFValidationError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(
            f"{source}: cannot be fetched ({reason}); needs the network once and a"
            " model of that name, or a folder of weights on disk"
        ) from error
    return Path(folder)
