"""The figure of training heads on cached features, of the paper's data's size, drawn at random."""

import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from hierclf.config import Config, parse_config
from hierclf.training.fold_run import FoldRun
from hierclf.training.folds import refit_fold
from hierclf.training.prepare import Prepared
from tests.benchmarks.frame import Rounds, figure, in_turn, seconds

IMAGES, FEATURES, SUPER, SUB, VIEWS = 6_288, 1_280, 3, 87, 2
EPOCHS = 60


@figure(
    "heads_60_epochs_s",
    unit="s",
    ours="60 epochs of both heads on 6,288 x 1,280 memory-mapped features, 3 views",
    theirs="plain PyTorch: TensorDataset, DataLoader, two linear layers, AdamW; 1 view in memory",
    aim="under 10 s",
)
def heads_60_epochs_s(device: torch.device) -> Rounds:
    rng = np.random.default_rng(0)
    sub = np.arange(IMAGES) % SUB
    labels: Any = SimpleNamespace(
        super_labels=sub % SUPER,
        sub_labels=sub,
        images=None,
        hierarchy=SimpleNamespace(sub_to_super=np.arange(SUB) % SUPER),
    )
    config = parse_config({"train": {"epochs": EPOCHS, "lr": 1e-3, "views": VIEWS}})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bank.npy"
        np.save(path, rng.random((VIEWS + 1, IMAGES, FEATURES), dtype=np.float32))
        bank = np.load(path, mmap_mode="r")
        return in_turn(
            lambda: seconds(lambda: _ours(bank, labels, config, device), device),
            lambda: seconds(lambda: _plain(bank[0], labels, config, device), device),
            rounds=3,
        )


def _ours(bank: np.ndarray, labels: Any, config: Config, device: torch.device) -> None:
    fold = refit_fold(labels.super_labels, labels.sub_labels)
    run = FoldRun(fold, Prepared(labels, {}, bank, None), config, device)
    for epoch in range(1, EPOCHS + 1):
        run.train_epoch(epoch)


def _plain(features: np.ndarray, labels: Any, config: Config, device: torch.device) -> None:
    columns = (features, labels.super_labels, labels.sub_labels)
    data = TensorDataset(*(torch.from_numpy(np.array(column)) for column in columns))
    loader = DataLoader(data, batch_size=config.train.batch_size, shuffle=True)
    heads = [nn.Linear(FEATURES, n).to(device) for n in (SUPER, SUB)]
    parameters = [parameter for head in heads for parameter in head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS * len(loader))
    loss_of = nn.CrossEntropyLoss()
    for _ in range(EPOCHS):
        for batch in loader:
            inputs, *truths = (tensor.to(device) for tensor in batch)
            loss = sum(loss_of(head(inputs), y) for head, y in zip(heads, truths, strict=True))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
