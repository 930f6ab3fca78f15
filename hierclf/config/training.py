"""The section `train` of the configuration."""

from typing import Annotated, Literal

from pydantic import Field

from hierclf.config.space import Strict

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


class TrainConfig(Strict):
    """One training run. lr, weight_decay and strength are what the search varies."""

    epochs: Annotated[int, Field(ge=1, le=10_000)] = 30
    """Passes over the training images."""
    batch_size: Annotated[int, Field(ge=2)] = 64
    """Images a step over all workers of a trial."""
    eval_batch_size: Annotated[int, Field(ge=1)] = 128
    """Images at a time in evaluation."""
    lr: Positive = 1e-4
    """Learning rate of AdamW at the start; it falls along a cosine."""
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    """Weight decay of AdamW."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Fraction of the steps in which the learning rate rises to lr before it falls."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """A layer of the backbone learns at this times the rate of the one after it; with freeze: \
    none."""
    head_epochs: Annotated[int, Field(ge=0)] = 0
    """First epochs with labels in which only the heads are trained, the backbone after them; with \
    freeze: none."""
    self_supervised: Annotated[int, Field(ge=0)] = 0
    """First epochs that train the backbone without labels, by two views of each training image \
    (SimCLR); with freeze: none."""
    self_supervised_temperature: Positive = 0.5
    """Temperature of their loss; used with self_supervised only."""
    accumulate: Annotated[int, Field(ge=1)] = 1
    """Parts that a batch is computed in, one after the other, which takes less memory."""
    sampling: Literal["shuffle", "balanced", "hard", "curriculum"] = "shuffle"
    """The others draw with replacement: `balanced` every sub-class equally often; `hard` images \
    of a large loss more often; `curriculum` those of a small loss, less and less so."""
    hardness: Annotated[float, Field(gt=1)] = 10.0
    """How many times as often the image at one end of the ranks of losses is drawn as the one at \
    the other; used with sampling: hard or curriculum only."""
    mix: Literal["none", "mixup", "cutmix", "both"] = "none"
    """Mix each image of a batch, and its labels, with another; `both` draws one of the two for \
    each batch; with freeze: none."""
    mix_alpha: Positive = 0.2
    """Share of the other image is drawn from Beta(alpha, alpha); used with mix only."""
    heads: Literal["trained", "lda"] = "trained"
    """`lda`: heads by linear discriminant analysis of the training images' features, without \
    augmentation, in place of training; with freeze: backbone."""
    lda_shrinkage: Annotated[float, Field(gt=0, le=1)] = 0.5
    """How much of the covariance is made equal in all directions; used with heads: lda only."""
    strength: Annotated[float, Field(ge=0, le=3)] = 1.0
    """Augmentation strength: 0 is none, 1 is the paper's recipe."""
    augmentation: Literal["recipe", "randaugment"] = "recipe"
    """`recipe`: crop, flip, rotation and colours; `randaugment`: crop, flip and two operations \
    drawn for each image; with freeze: none."""
    sub_weight: Positive = 1.0
    """Weight of the sub-class loss in the sum."""
    loss: Literal["cross_entropy", "focal", "hierarchical", "soft_labels"] = "cross_entropy"
    """`focal` turns to images that are not yet right; `hierarchical` weighs mistakes within a \
    super-class and beyond it; `soft_labels` share the label out by distance in the tree."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Fraction of each label that is spread evenly over the known classes, with any loss."""
    focal_gamma: NotNegative = 2.0
    """How much right answers count less, 0 for not at all; used with loss: focal only."""
    hierarchical_alpha: NotNegative = 0.4
    """The sub head's super-class part weighs exp(-alpha); used with loss: hierarchical only."""
    soft_beta: NotNegative = 10.0
    """How fast labels fall with distance, 0 for not at all; used with loss: soft_labels only."""
    logit_norm: Positive | None = None
    """Temperature of LogitNorm, with any loss: only the direction of the logits is trained; \
    None for none."""
    consistency: NotNegative = 0.0
    """Weight of the difference between the super head and the sub head summed by super-class."""
    contrastive: NotNegative = 0.0
    """Weight of a supervised contrastive loss of the features at both levels; with freeze: none."""
    contrastive_temperature: Positive = 0.1
    """Temperature of the supervised contrastive loss."""
    outlier: Literal["none", "energy", "uniform"] = "none"
    """Train on images of no known class, too, from data.novel and data.generated: `energy` puts a \
    margin between their energies and those of known classes; `uniform` makes all known classes \
    equally probable for them."""
    outlier_weight: NotNegative = 0.1
    """Weight of the term for images of no known class; used with outlier only."""
    outlier_energy: float = -2.0
    """Energy above which images of no known class shall lie; used with outlier: energy only."""
    outlier_gap: NotNegative = 4.0
    """How far below that images of known classes shall lie; used with outlier: energy only."""
    average: Literal["none", "ema", "snapshots"] = "none"
    """Evaluate and keep an average of the weights: `ema`, an exponential moving average of all \
    steps; `snapshots`, the mean of the ends of the last epochs."""
    ema_decay: Annotated[float, Field(gt=0, lt=1)] = 0.99
    """Weight of the average at each step; used with average: ema only."""
    snapshots: Annotated[int, Field(ge=1)] = 5
    """How many epochs' ends are averaged; used with average: snapshots only."""
    seeds: Annotated[int, Field(ge=1, le=64)] = 1
    """Heads trained from that many seeds, and averaged; with freeze: backbone."""
    clip_norm: Positive | None = None
    """The largest norm of the gradient; None for no limit."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """`auto`: bf16 on a GPU (fp16 on older ones), fp32 on a CPU."""
    compile: bool = False
    """Train a network compiled by torch.compile: pays for long runs, after a minute or so."""
    views: Annotated[int, Field(ge=0, le=64)] = 4
    """Augmented views an image whose features are cached; used with freeze: backbone only."""
