"""Every setting of a run: frozen dataclasses, the only home of a default.

The command line (``--train.warmup 0.1``, the common ones also short: ``--epochs 10``)
and the keys of a recipe (``[train] warmup = 0.1``) are generated from these fields, and
the string below a field is its help. Settings are data: nothing here builds an object.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Annotated, Literal

from cyclopts import Parameter

from vit_dementia.errors import ConfigError

Plane = Literal["axial", "coronal", "sagittal"]  # in which slices of a head are cut


def _short(name: str) -> Parameter:
    """Give a nested setting a second, short flag."""
    return Parameter(alias=[name])


def _refuse(table: str, *checks: tuple[str, object, bool, str]) -> None:
    """Raise one ConfigError that lists every setting outside its range."""
    faults = [
        f"{table}{name}: found {value!r}; needs {needed}"
        for name, value, is_right, needed in checks
        if not is_right
    ]
    if faults:
        raise ConfigError(*faults)


@dataclass(frozen=True, kw_only=True)
class VitConfig:
    """Numbers of the Vision Transformer that differ from the variant named by model."""

    patch_size: int | None = None
    """side of a square patch, the paper's P [default: from the variant]"""
    embed_dim: int | None = None
    """width of a token, the paper's D [default: from the variant]"""
    depth: int | None = None
    """encoder blocks, the paper's L [default: from the variant]"""
    num_heads: int | None = None
    """attention heads, the paper's k [default: from the variant]"""
    mlp_dim: int | None = None
    """hidden width of the MLP [default: from the variant]"""
    pooling: Literal["cls", "mean", "map"] = "cls"
    """what the head reads: the class token, the mean of the patch tokens, or what a
    learned query gathers from them"""
    dropout: float = 0.0
    """after every dense layer but qkv, and after the positions are added (App. B.1)"""
    attention_dropout: float = 0.0
    """on the attention weights; not in the paper"""
    drop_path: float = 0.0
    """share of residual branches dropped in the last block, rising linearly to it"""
    layer_norm_eps: float = 1e-6
    """added to the variance in every LayerNorm"""
    initialization: Literal["google", "timm", "mae"] = "google"
    """how weights begin from scratch: as in the paper's own code, in timm or in MAE"""
    inflation: Literal["mean", "center"] = "mean"
    """how weights for slices read a cube: all of its planes alike, or the middle one"""
    positions: Literal["learned", "sincos", "none"] = "learned"
    """position embeddings: learned, fixed waves, or none"""
    stem: Literal["patch", "conv", "shifted"] = "patch"
    """what makes tokens: one matrix a patch; for small data convolutions, or patches
    that also see their neighbors"""
    locality: bool = False
    """for small data: no token looks at itself, and each head learns its sharpness"""
    registers: int = 0
    """further tokens that show no part of the image"""
    layer_scale: float | None = None
    """where a learned factor on each residual branch begins [default: no factor]"""
    qk_norm: bool = False
    """whether queries and keys are normalized"""

    def __post_init__(self) -> None:
        """Refuse numbers no network can have."""
        sizes = ("patch_size", "embed_dim", "depth", "num_heads", "mlp_dim")
        rates = ("dropout", "attention_dropout", "drop_path")
        of = vars(self)
        _refuse(
            "vit.",
            *((n, of[n], of[n] is None or of[n] >= 1, "1 or more") for n in sizes),
            *((n, of[n], 0 <= of[n] < 1, "a share in [0, 1)") for n in rates),
            ("layer_norm_eps", of["layer_norm_eps"], self.layer_norm_eps > 0, "> 0"),
            ("registers", of["registers"], self.registers >= 0, "0 or more"),
        )


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """What is taken from the cohort and how scans are made alike."""

    input: Annotated[Literal["slices", "volume"], _short("--input")] = "slices"
    """what the network reads: slices, or whole volumes in patches of three axes"""
    image_size: tuple[int, int] | None = None
    """height and width given to the model [default: the commonest size of the training
    slices, rounded up to whole patches]"""
    volume_size: tuple[int, int, int] | None = None
    """depth, height and width of a volume given to the model [default: the commonest
    size of the training volumes, rounded up to whole patches]"""
    plane: Plane | None = None
    """how slices are cut from volumes [default: coronal]"""
    slab_mm: tuple[float, float] | None = None
    """from where to where slices are cut from volumes: below the top of the head
    (axial), behind its front (coronal), right of its middle (sagittal) [default: the
    temporal lobes and ventricles: 48 100, 78 114 or -30 30]"""
    slices: int | None = None
    """slices cut from each volume [default: 8]"""
    spacing_mm: float | None = None
    """side of a voxel, or of a slice's pixel, given to the model [default: the
    commonest of the training volumes; 2 for slices of volumes]"""
    channels: Literal[1, 3] = 1
    """1: gray; 3: red, green, blue (a gray slice is repeated)"""
    fit: Literal["pad", "stretch"] = "pad"
    """how another size is met: scaled and padded, keeping proportions, or stretched"""
    val: float = 0.15
    """share of the participants who train that choose the best epoch instead"""
    test: float = 0.2
    """share of all participants held out for a final score, if the data have no test"""
    tokens: Annotated[Literal["foreground", "all"], _short("--tokens")] = "foreground"
    """which patches the encoder reads: those that show a head in training, or all"""
    slices_per_participant: int = 0
    """slices (near-copies) drawn from each participant, anew every epoch; 0: all"""


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """Random changes to training slices, of the size that scanners and heads make."""

    enabled: Annotated[bool, _short("--augment")] = True
    """whether training slices are changed at all"""
    rotation_degrees: float = 8.0
    """largest turn in the plane"""
    scale: float = 0.08
    """largest relative change of size"""
    shift: float = 0.04
    """largest shift as a share of the side"""
    flip: float = 0.0
    """probability of a left-right mirror (dementia is not left-right symmetric)"""
    elastic: float = 0.0
    """largest smooth displacement of a pixel as a share of the side; a few hundredths
    bend a head as much as heads differ"""
    gamma: float = 0.2
    """largest change of the logarithm of gamma: contrast"""
    bias_field: float = 0.2
    """largest relative change of brightness by the coil, smooth over the image"""
    noise: float = 0.02
    """largest standard deviation of added noise, on the scale [0, 1]"""
    ghosting: float = 0.0
    """largest strength of the copy, shifted by half the image, that motion makes"""
    erase: float = 0.0
    """probability that one random rectangle is blanked"""

    def __post_init__(self) -> None:
        """Refuse negative strengths and probabilities above 1."""
        of = vars(self)
        _refuse(
            "augment.",
            *((n, of[n], of[n] >= 0, "0 or more") for n in of if n != "enabled"),
            *((n, of[n], of[n] <= 1, "a share") for n in ("flip", "erase", "ghosting")),
            ("scale", self.scale, self.scale < 1, "below 1"),
            ("elastic", self.elastic, self.elastic < 1 / 6, "below 1/6"),
        )


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How to train."""

    epochs: Annotated[int, _short("--epochs")] = 50
    """passes over the training participants"""
    batch_size: Annotated[int | Literal["auto"], _short("--batch-size")] = 16
    """slices in one forward pass, of all processes together; auto: as many of 16 times
    accumulate as memory holds, accumulated to as large an update"""
    accumulate: int = 1
    """batches added up before one optimizer step"""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    """AdamW (decoupled decay) or SGD with momentum 0.9"""
    learning_rate: Annotated[float, _short("--learning-rate")] = 3e-4
    """peak, reached after the warm-up"""
    weight_decay: float = 0.05
    """decoupled, times the learning rate; not on biases, norms, tokens and positions"""
    layer_decay: float = 1.0
    """factor on the learning rate for each block further from the head (fine-tuning)"""
    warmup: float = 0.1
    """share of all steps in which the learning rate rises from 0"""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """how the learning rate falls after the warm-up"""
    grad_clip: float = 1.0
    """largest L2 norm of the whole gradient; 0: no limit"""
    loss: Literal["cross-entropy", "ordinal"] = "cross-entropy"
    """what an error costs: as much whatever is mistaken for what, or more the more
    stages lie between (classes in order of severity)"""
    slice_pooling: Annotated[
        Literal["mean", "attention"], _short("--slice-pooling")
    ] = "mean"
    """what the slices of a visit say together: the mean, or a mean by weights that are
    learned with the rest, from whole visits (attention over slices)"""
    label_smoothing: float = 0.0
    """share of each label spread over all classes"""
    mixup: float = 0.0
    """how evenly slices are added up in pairs, labels too: a of Beta(a, a); 0: never"""
    cutmix: float = 0.0
    """the same for pasting a rectangle of one slice into another; with both set, each
    batch is mixed in one of the two ways"""
    ema: float = 0.0
    """how much of the running mean of the weights stays at an update; the mean is then
    scored and kept; 0: the weights themselves are"""
    balance: Literal["none", "weights", "effective", "sampling"] = "none"
    """against unequal classes: nothing, so that probabilities keep their meaning; weigh
    the loss by the number of slices, or of people who add something new; or draw rare
    classes more often"""
    effective_beta: float = 0.99
    """for balance effective: each further person of a class adds this share of what the
    one before added"""
    freeze: Annotated[str, _short("--freeze")] = "none"
    """what stays as loaded: none, backbone, or N-blocks (the first N)"""
    lora_rank: Annotated[int, _short("--lora-rank")] = 0
    """rank of what alone learns beside the loaded weights of each attention's queries
    and values, with the head (LoRA); merged into them when saved; 0: all learns"""
    views: int = 1
    """of each slice that a frozen backbone sees: 1: the slice as it is; the others are
    augmented, and take turns with it from epoch to epoch"""
    early_stopping: int = 0
    """epochs without a better validation score before training stops; 0: never"""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """bf16 where the processor computes in it, else fp32"""
    deterministic: Annotated[bool, _short("--deterministic")] = False
    """on a GPU, the same numbers twice: only algorithms that do not depend on which of
    its cores is first, which are slower (a CPU always gives the same numbers)"""
    watch_test: bool = False
    """also record the curve of the test part; nothing is chosen by it"""
    retries: int = 0
    """how often to go on from the last good state at a tenth of the learning rate, when
    the loss is no number"""
    checkpoint_minutes: float = 5.0
    """minutes of training that a power cut may cost at most"""

    @property
    def num_at_once(self) -> int:
        """Slices in one forward pass, where ``batch_size`` is a number.

        Raises:
            ConfigError: if it is still to be found.
        """
        if self.batch_size == "auto":
            raise ConfigError(
                "train.batch_size: found auto, which is for training; needs a number"
            )
        return self.batch_size

    def __post_init__(self) -> None:
        """Refuse settings that cannot train."""
        of = vars(self)
        _refuse(
            "train.",
            *(
                (n, of[n], of[n] == "auto" or of[n] >= 1, "1 or more")
                for n in ("batch_size", "accumulate", "views")
            ),
            ("epochs", self.epochs, self.epochs >= 0, "0 or more"),
            ("learning_rate", self.learning_rate, self.learning_rate > 0, "> 0"),
            *(
                (n, of[n], of[n] >= 0, "0 or more")
                for n in ("weight_decay", "grad_clip", "retries", "mixup", "cutmix")
            ),
            ("layer_decay", self.layer_decay, 0 < self.layer_decay <= 1, "in (0, 1]"),
            ("warmup", self.warmup, 0 <= self.warmup < 1, "a share in [0, 1)"),
            *(
                (n, of[n], 0 <= of[n] < 1, "a share in [0, 1)")
                for n in ("label_smoothing", "ema", "effective_beta")
            ),
            (
                "cutmix",
                self.cutmix,
                not self.cutmix or self.freeze != "backbone",
                "0 beside freeze backbone, which keeps no images to cut",
            ),
            (
                "freeze",
                self.freeze,
                re.fullmatch(r"none|backbone|\d+-blocks", self.freeze) is not None,
                "none, backbone, or N-blocks such as 6-blocks",
            ),
            ("lora_rank", self.lora_rank, self.lora_rank >= 0, "0 or more"),
            (
                "freeze",
                self.freeze,
                not self.lora_rank or self.freeze == "none",
                "none beside lora_rank, which freezes by itself",
            ),
        )


@dataclass(frozen=True, kw_only=True)
class MaskConfig:
    """How a masked auto-encoder learns without labels (the goal ``reconstruct``)."""

    hidden: float = 0.75
    """share of the patches that are hidden, and asked for"""
    decoder_dim: int = 128
    """width of the decoder, which is thrown away afterwards"""
    decoder_depth: int = 2
    """blocks of the decoder"""
    decoder_heads: int = 4
    """attention heads of the decoder"""

    def __post_init__(self) -> None:
        """Refuse what hides nothing, or cannot be built."""
        of = vars(self)
        sizes = ("decoder_dim", "decoder_depth", "decoder_heads")
        _refuse(
            "mask.",
            ("hidden", self.hidden, 0 < self.hidden < 1, "a share in (0, 1)"),
            *((n, of[n], of[n] >= 1, "1 or more") for n in sizes),
        )


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """All settings of one training."""

    model: str | None = None
    """variant: ViT-Ti, -S, -B, -L or -H with patch /8, /14, /16 or /32 [default:
    ViT-B/16 from scratch, else that of the weights]"""
    init: str = "scratch"
    """where the weights come from: scratch, a file or folder of weights, or a run"""
    goal: Annotated[Literal["classify", "reconstruct"], Parameter(show=False)] = (
        "classify"
    )
    """what is learned: to tell the classes apart (vit-dementia train) or, without
    labels, to reconstruct hidden patches (vit-dementia pretrain, which sets it)"""
    seed: int = 0
    """of everything random: split, weights, order, augmentation"""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """where to compute"""
    fold: int = 0
    """which fold of the split, from 0"""
    allow_leakage: str = ""
    """why people may stand on both sides of the split; said on every later output"""
    vit: VitConfig = field(default_factory=VitConfig)
    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    mask: MaskConfig = field(default_factory=MaskConfig)
