"""Names of published weights, served here from memory."""

from __future__ import annotations

import base64
import hashlib
import io
from email.message import Message

import pytest
import torch

from vit_dementia.errors import CheckpointError, DataError
from vit_dementia.models.weights import load_model, sources
from vit_dementia.models.weights.torchvision import to_torchvision


class Answer(io.BytesIO):
    def __init__(self, content: bytes, md5: str = "") -> None:
        super().__init__(content)
        self.headers = Message()
        if md5:
            self.headers["x-goog-hash"] = "crc32c=AAAA"
            self.headers["x-goog-hash"] = f"md5={md5}"


@pytest.fixture
def served(monkeypatch, tmp_path):
    """Serve these addresses and nothing else; count how often."""
    answers, asked = {}, []
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))

    def connected(url):
        asked.append(url)
        if url not in answers:
            raise DataError(f"{url}: cannot be reached")
        return answers[url]()

    monkeypatch.setattr(sources, "connected", connected)
    return answers, asked


def torchvision_file(small) -> bytes:
    model = small(image_size=(32, 32), embed_dim=192, mlp_dim=64, num_classes=1000)
    file = io.BytesIO()
    torch.save(to_torchvision(model.state_dict(), model.architecture), file)
    return file.getvalue()


def test_torchvisions_weights_are_fetched_once_and_checked(
    small, served, monkeypatch
) -> None:
    answers, asked = served
    content = torchvision_file(small)
    start = hashlib.sha256(content).hexdigest()[:8]
    monkeypatch.setitem(sources.TORCHVISION_FILES, "vit_b_16", f"vit-{start}.pth")
    url = f"https://download.pytorch.org/models/vit-{start}.pth"
    answers[url] = lambda: Answer(content)
    for _ in range(2):
        model = load_model("torchvision:vit_b_16", num_classes=2)
    assert model.architecture.num_classes == 2
    assert asked == [url]


def test_a_file_with_another_hash_is_refused_and_not_kept(served, tmp_path) -> None:
    answers, _ = served
    url = "https://download.pytorch.org/models/vit_b_16-c867db91.pth"
    answers[url] = lambda: Answer(b"not it")
    with pytest.raises(CheckpointError, match="does not begin c867db91"):
        load_model("torchvision:vit_b_16")
    assert not list((tmp_path / "home").rglob("*.p*"))


def test_googles_announced_md5_is_compared(served, tmp_path) -> None:
    answers, _ = served
    url = "https://storage.googleapis.com/vit_models/imagenet21k/ViT-B_16.npz"
    answers[url] = lambda: Answer(b"damaged", md5="AAAA")
    with pytest.raises(CheckpointError, match="MD5"):
        load_model("google:imagenet21k/ViT-B_16.npz")
    md5 = base64.b64encode(hashlib.md5(b"whole").digest()).decode()
    answers[url] = lambda: Answer(b"whole", md5=md5)
    path = sources.fetched("google:imagenet21k/ViT-B_16.npz")
    assert path.read_bytes() == b"whole"


def test_without_network_one_line_says_what_to_do(served) -> None:
    with pytest.raises(CheckpointError, match="needs the network once") as caught:
        load_model("torchvision:vit_b_16")
    assert len(caught.value.faults) == 1
    with pytest.raises(CheckpointError, match="needs one of vit_b_16"):
        load_model("torchvision:vit_x")


def test_weights_come_from_safe_addresses_only(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for address in ("http://download.pytorch.org/", tmp_path.as_uri()):
        monkeypatch.setattr(sources, "TORCHVISION", address)
        with pytest.raises(CheckpointError, match="an https address is needed"):
            load_model("torchvision:vit_b_16")


def test_the_hub_is_asked_for_data_files_only(monkeypatch, small, tmp_path) -> None:
    from vit_dementia.models.weights.record import Weights
    from vit_dementia.models.weights.saving import save_weights

    model = small()
    weights = Weights(
        state=model.state_dict(),
        architecture=model.architecture,
        classes=tuple("abcde"),
        mean=None,
        std=None,
        layout="native",
        rule="bicubic",
    )
    save_weights(weights, tmp_path, "huggingface")
    asked = {}

    def download(repository, *, revision, allow_patterns):
        asked.update(repository=repository, revision=revision, allow=allow_patterns)
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    again = load_model("hf-hub:owner/name@v1")
    assert again.architecture.num_classes == 5
    assert (asked["repository"], asked["revision"]) == ("owner/name", "v1")
    assert not any(name.endswith(".py") for name in asked["allow"])

    def offline(*_args, **_settings):
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.snapshot_download", offline)
    with pytest.raises(CheckpointError, match=r"cannot be fetched \(no network\)"):
        load_model("hf-hub:owner/name")
