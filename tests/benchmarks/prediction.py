"""Prediction beside the bare forward pass, and beside the notebook's test loop."""

import copy
from functools import cache

import numpy as np
import torch

from hierclf.bundle.directory import Bundle
from hierclf.data.preprocessing import Preprocessing
from hierclf.nets.backbones import build_backbone
from hierclf.nets.inference import images_at_a_time
from hierclf.nets.two_heads import TwoHeadNet, TwoHeads
from hierclf.predict import predict_batches
from hierclf.rules.rule import LevelRule, Rule
from hierclf.scores import SCORES, ScoreInputs, fit_scores
from tests.benchmarks.drawn import HIERARCHY, N_SUB, N_SUPER, jpegs, pixels
from tests.benchmarks.frame import Rounds, figure, in_turn, seconds
from tests.benchmarks.notebook import test_loop

_BATCH = 64
# The first batch is decoded while the network waits: more than a few.
_N_IMAGES = {"cpu": 6 * _BATCH, "cuda": 60 * _BATCH}
_SIZE = 224
_OURS = "EfficientNet-Lite0 at 224 px, 64 px JPEG files to rows of the table"


@cache
def random_bundle() -> Bundle:
    """Random weights; scores of the kind that a search chooses, fitted on random features."""
    torch.manual_seed(0)
    backbone = build_backbone("tf_efficientnet_lite0", "none")
    heads = TwoHeads(backbone.n_features, N_SUPER, N_SUB)
    rng = np.random.default_rng(0)
    sub_labels = np.arange(2000) % N_SUB
    widths = (backbone.n_features, N_SUPER, N_SUB)
    features, super_logits, sub_logits = (
        rng.normal(size=(2000, n)).astype(np.float32) for n in widths
    )
    names = ("mahalanobis", "max_logit")
    states = fit_scores(
        ScoreInputs(features, super_logits, sub_logits),
        sub_labels % N_SUPER,
        sub_labels,
        scores={name: SCORES[name] for name in names},
    )
    return Bundle(
        net=TwoHeadNet(backbone, heads).eval().to(memory_format=torch.channels_last),
        backbone="tf_efficientnet_lite0",
        novel_output=False,
        preprocessing=Preprocessing(64, 64, _SIZE, 0.875, backbone.interpolation),
        hierarchy=HIERARCHY,
        scores=names,
        states=states,
        rule=Rule(LevelRule("mahalanobis", 1e9), LevelRule("max_logit", 0.0)),
    )


def _rates(device: torch.device, n_images: int) -> tuple[list[tuple[str, bytes]], Bundle]:
    files = [(f"{i}.jpg", data) for i, data in enumerate(jpegs(pixels(n_images)))]
    return files, random_bundle()


def _predict(bundle: Bundle, files: list[tuple[str, bytes]], device: torch.device) -> float:
    def run() -> None:
        for _ in predict_batches(bundle, files, batch_size=_BATCH, device=device):
            pass

    return len(files) / seconds(run, device)


@figure(
    "predict_efficiency",
    unit="images/s",
    ours=_OURS,
    theirs="the forward pass alone: the same network, batch norm folded, as many images at a time",
    aim="ratio 0.95",
    more_is_better=True,
)
def predict_efficiency(device: torch.device) -> Rounds:
    files, bundle = _rates(device, _N_IMAGES[device.type])
    net = bundle.inference_net.to(device)
    batch = torch.rand(_BATCH, 3, _SIZE, _SIZE).to(device, memory_format=torch.channels_last)
    few = images_at_a_time(_SIZE, device, most=_BATCH)

    @torch.inference_mode()
    def forward() -> None:
        for _ in range(len(files) // _BATCH):
            for part in batch.split(few):
                net(part)

    return in_turn(
        lambda: _predict(bundle, files, device),
        lambda: len(files) / seconds(forward, device),
    )


@figure(
    "predict_vs_notebook",
    unit="images/s",
    ours=_OURS,
    theirs="the notebook's test loop: DataLoader with two processes, the network as it is",
    aim="ratio 1.3",
    more_is_better=True,
)
def predict_vs_notebook(device: torch.device) -> Rounds:
    files, bundle = _rates(device, _N_IMAGES[device.type])
    net = copy.deepcopy(bundle.net).to(memory_format=torch.contiguous_format).to(device)
    images = [data for _, data in files]
    return in_turn(
        lambda: _predict(bundle, files, device),
        lambda: len(files) / seconds(lambda: test_loop(net, images, _SIZE, device), device),
    )
