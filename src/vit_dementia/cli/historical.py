"""The two commands of the project this one grew out of (``fbrynpk/ViT-Dementia``).

Same flags, defaults, output files and keys, on the loop of this package: images are
prepared alike for training and testing, the epoch that is kept is chosen on people set
aside from training, and the test folder decides nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError

from cyclopts import App, CycloptsError

from vit_dementia import DISCLAIMER
from vit_dementia.cli.options import new_folder
from vit_dementia.cli.terminal import escaped, watch_for_people
from vit_dementia.config import DataConfig, RunConfig, TrainConfig, VitConfig
from vit_dementia.data.cohort import Cohort
from vit_dementia.data.parts import cohort_of_parts
from vit_dementia.errors import ConfigError, DataError, VitDementiaError
from vit_dementia.files import disk_fault, write_bytes
from vit_dementia.progress import Bar, Watch

MODELS = Path("models")
REASON = "historical script"
IMAGENET_WEIGHTS = "https://download.pytorch.org/models/vit_b_16-c867db91.pth"

train_app = App(name="train.py", help=f"Train a ViT from scratch. {DISCLAIMER}")
transfer_app = App(
    name="train_transferlearning.py",
    help=f"Fine-tune a pre-trained ViT. {DISCLAIMER}",
)


@train_app.default
def train_from_scratch(
    *,
    epochs: int = 90,
    batch_size: int = 32,
    lr: float = 1e-3,
    train_dir: Path = Path("data/train"),
    test_dir: Path = Path("data/test"),
    patch_size: int = 16,
    num_transformer_layer: int = 12,
    embedding_dim: int = 768,
    mlp_size: int = 3072,
    num_heads: int = 12,
    num_classes: int = 4,
) -> None:
    """Train a ViT from scratch; write models/ViTModel.pth and ViTModel_losses.pkl.

    Example: python train.py --epochs 90

    Args:
        epochs: passes over the training images.
        batch_size: images in one step.
        lr: largest learning rate.
        train_dir: a folder of images for each class.
        test_dir: the same classes; its curve is drawn, nothing is chosen by it.
        patch_size: side of a patch, the paper's P.
        num_transformer_layer: encoder blocks, the paper's L.
        embedding_dim: width of a token, the paper's D.
        mlp_size: hidden width of the MLP.
        num_heads: attention heads.
        num_classes: folders of classes there are.
    """
    from vit_dementia.models.weights import historical

    vit = VitConfig(
        patch_size=patch_size,
        embed_dim=embedding_dim,
        depth=num_transformer_layer,
        num_heads=num_heads,
        mlp_dim=mlp_size,
        dropout=0.1,  # Table 3 of the paper, for ImageNet
        layer_norm_eps=historical.LAYER_NORM_EPS,
    )
    config = RunConfig(
        vit=vit,
        data=_data_settings(),
        train=TrainConfig(
            epochs=epochs, batch_size=batch_size, learning_rate=lr, watch_test=True
        ),
        allow_leakage=REASON,
    )
    run, classes = _train(_cohort(train_dir, test_dir, num_classes), config)
    from vit_dementia.inference.model_folder import read_model_folder

    network = read_model_folder(run).network
    historical.save(
        MODELS / "ViTModel.pth", network.state_dict(), network.architecture, classes
    )
    _finish(run, "ViTModel")


@transfer_app.default
def fine_tune(
    *,
    epochs: int = 10,
    batch_size: int = 32,
    lr: float = 1e-3,
    train_dir: Path = Path("data/train"),
    test_dir: Path = Path("data/test"),
    weights: Path | None = None,
) -> None:
    """Train a new head on a pre-trained ViT; write models/ViTModelTransferLearning.pth.

    Example: python train_transferlearning.py --epochs 10

    Args:
        epochs: passes over the training images.
        batch_size: images in one step.
        lr: largest learning rate.
        train_dir: a folder of images for each class.
        test_dir: the same classes; its curve is drawn, nothing is chosen by it.
        weights: any weights on disk [default: torchvision's ImageNet ViT-B/16, fetched
            once].
    """
    from vit_dementia.inference.model_folder import read_model_folder
    from vit_dementia.models.weights import historical, torchvision

    cohort = _cohort(train_dir, test_dir, None)
    config = RunConfig(
        init=str(weights or _imagenet_weights()),
        data=_data_settings(),
        train=TrainConfig(
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=lr,
            freeze="backbone",
            watch_test=True,
        ),
        allow_leakage=REASON,
    )
    run, classes = _train(cohort, config)
    network = read_model_folder(run).network
    state = torchvision.to_torchvision(
        network.state_dict(), network.architecture, bare_head=True
    )
    historical.save_state(
        MODELS / "ViTModelTransferLearning.pth", state, network.architecture, classes
    )
    _finish(run, "ViTModelTransferLearning")


def _data_settings() -> DataConfig:
    """Return the input of the historical networks: 224 x 224, three channels, whole."""
    return DataConfig(image_size=(224, 224), channels=3, tokens="all")


def _cohort(train_dir: Path, test_dir: Path, num_classes: int | None) -> Cohort:
    """Read both folders; classes in alphabetical order, as the old files have them."""
    cohort = cohort_of_parts({"train": train_dir, "test": test_dir})
    if num_classes is not None and num_classes != len(cohort.classes):
        raise ConfigError(
            f"--num_classes: found {num_classes}; {train_dir} holds "
            f"{len(cohort.classes)} classes ({', '.join(sorted(cohort.classes))})"
        )
    return cohort.reordered(sorted(cohort.classes))


def _train(cohort: Cohort, config: RunConfig) -> tuple[Path, tuple[str, ...]]:
    """Train, saying before the first epoch and after the last what the folders leak."""
    from vit_dementia.training.material import make_split
    from vit_dementia.training.run import train

    watch = _Told(watch_for_people())
    for note in (*cohort.notes, *cohort.problems):
        watch.say(note)
    split = make_split(cohort, config)
    out = new_folder(None, "historical-script")
    warning = _leak_warning(cohort, out, watch)
    watch.say(warning)
    run = train(cohort, config, out=out, split=split, watch=watch)
    watch.say(f"run: {run.path}")
    watch.say(warning)
    return run.path, cohort.classes


def _leak_warning(cohort: Cohort, out: Path, watch: Watch) -> str:
    """Say what stands in both folders, by ids or by the images, and how to see it."""
    from vit_dementia.data.leaks import find_leaks
    from vit_dementia.workflows.guard import hidden_leaks, worst_of

    part = cohort.table["split"].to_numpy(dtype=str)
    said = find_leaks(cohort, part).sentence()
    hidden = worst_of(hidden_leaks(cohort, [part], watch=watch))
    if hidden.leaks is not None:
        said = f"{said}; {hidden.sentence()}"
    # The run holds the table of both folders, wherever they are.
    return f"leak check ({REASON}): {said}; see it by: vit-dementia check {out}"


def _finish(run: Path, name: str) -> None:
    write_bytes(MODELS / f"{name}_losses.pkl", (run / "history.pkl").read_bytes())
    print(f"written: {MODELS / name}.pth and {MODELS / name}_losses.pkl")


def _imagenet_weights() -> Path:
    """Return torchvision's ViT-B/16 from the torch hub cache, fetched if need be.

    Raises:
        DataError: if it is not there and cannot be fetched.
    """
    import torch

    name = IMAGENET_WEIGHTS.rsplit("/", 1)[1]
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        hash_prefix = path.stem.rsplit("-", 1)[1]
        try:
            torch.hub.download_url_to_file(IMAGENET_WEIGHTS, str(path), hash_prefix)
        except (URLError, OSError, RuntimeError) as error:
            raise DataError(
                f"ImageNet weights {name}: not in the torch hub cache and cannot be "
                f"fetched ({error}); name weights on disk by --weights PATH"
            ) from error
    return path


class _Told:
    """A watch whose lines stand on stdout, as those of the old scripts did."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def say(self, line: str) -> None:
        print(escaped(line), flush=True)

    @contextmanager
    def count(self, what: str, total: int) -> Iterator[Bar]:
        with self._watch.count(what, total) as bar:
            yield bar


def main(app: App) -> None:
    """Run one of the two scripts and leave the process with its exit code."""
    tokens = [_dashed(token) for token in sys.argv[1:]]
    try:
        app(
            tokens, exit_on_error=False, print_error=False, result_action="return_value"
        )
    except (VitDementiaError, CycloptsError, OSError) as error:
        faults = getattr(error, "faults", (" ".join(str(error).split()),))
        if isinstance(error, OSError):
            disk = disk_fault(error)
            if disk is None:
                raise
            faults = (disk,)
        for fault in faults:
            print(escaped(f"{app.name[0]}: {fault}"), file=sys.stderr)
        sys.exit(getattr(error, "exit_code", 2))


def _dashed(token: str) -> str:
    """Return --batch-size for --batch_size; values stay as they are."""
    name, equals, value = token.partition("=")
    return name.replace("_", "-") + equals + value if name.startswith("--") else token
