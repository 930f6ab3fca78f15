"""The folder of a finished run, drawn: for tests of what is made of it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from numpy.typing import NDArray

from hierclf.bundle.directory import Bundle, save_bundle
from hierclf.bundle.score_table_file import save_score_table
from hierclf.config import Config
from hierclf.data.cache import ImageCache
from hierclf.data.preprocessing import Preprocessing
from hierclf.hierarchy import Hierarchy
from hierclf.nets.backbones import build_backbone
from hierclf.nets.two_heads import TwoHeadNet, TwoHeads
from hierclf.rules.choose import choose_rule
from hierclf.rules.promise import cross_fitted_promise
from hierclf.rules.score_table import ScoreTable
from tests.drawn_tables import N_SUB, N_SUPER, PARTS, SUB_TO_SUPER, draw_table

SCORES = ("msp", "max_logit", "energy")


def hierarchy(super_names: tuple[str, ...] = (), sub_names: tuple[str, ...] = ()) -> Hierarchy:
    """The classes of `draw_table`; the first ones may have given names."""
    supers = [*super_names, *(f"super {i}" for i in range(len(super_names), N_SUPER))]
    subs = [*sub_names, *(f"sub {i}" for i in range(len(sub_names), N_SUB))]
    return Hierarchy(
        super_names=tuple(supers),
        sub_names=tuple(subs),
        sub_to_super=tuple(SUB_TO_SUPER.tolist()),
        super_ids=tuple(range(N_SUPER)),
        sub_ids=tuple(range(N_SUB)),
        novel_super_id=N_SUPER,
        novel_sub_id=N_SUB,
    )


def as_kept(table: pd.DataFrame, images: tuple[str, ...] = ()) -> pd.DataFrame:
    """A score table as a run keeps it, with names of images and probabilities."""
    rng = np.random.default_rng(1)
    names = [*images, *(f"{i}.png" for i in range(len(images), len(table)))]
    known = table["sub_known"].to_numpy()
    columns: dict[str, Any] = {"image": names, "split": np.where(known, "val", "held_out")}
    for level in ("super", "sub"):
        right = (table[f"{level}_label"] == table[f"{level}_pred"]).to_numpy()
        prob = np.clip(rng.normal(np.where(right, 0.85, 0.5), 0.12), 0.05, 1.0)
        columns |= {f"{level}_prob": prob, f"{level}_calibrated": prob}
        columns[f"{level}_temperature"] = 1.0
    return table.assign(**columns)


def save_run(
    folder: Path,
    *,
    n: int = 1500,
    classes: Hierarchy | None = None,
    images: tuple[str, ...] = (),
    drawn: pd.DataFrame | None = None,
    parts: NDArray[np.int64] = PARTS,
) -> ScoreTable:
    """Write the folder of a finished run with three trials: finished, stopped early, failed.

    Args:
        n: rows of the score table.
        images: names of the first images.
        drawn: another table than `draw_table(n)`.
        parts: of the sub-classes.
    """
    table = as_kept(draw_table(n) if drawn is None else drawn, images)
    rows, classes = ScoreTable(table), classes or hierarchy()
    report = parts[rows.sub.labels] != 0
    rule = choose_rule(rows, SCORES).rule
    _save_model(folder / "model", classes)
    save_score_table(folder / "model", rows, parts, report=report)
    table.to_parquet(folder / "scores.parquet", index=False)
    config = Config.model_validate({"thresholds": {"scores": SCORES}})
    (folder / "config.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")))
    _write(folder / "thresholds.json", {"rule": rule.to_dict()})
    keys = list(config.search.space)
    trial = {"objective": 0.9, "status": "finished", "epochs": 5, "seconds": 61.0, "failure": ""}
    trials = [trial, trial | {"objective": 0.5, "status": "stopped early", "epochs": 1}]
    trials += [trial | {"objective": None, "status": "failed", "failure": "no <memory>"}]
    tried = [
        row | {"trial_id": f"t{i}"} | dict.fromkeys(keys, 1e-3 * (i + 1))
        for i, row in enumerate(trials)
    ]
    pd.DataFrame(tried).to_parquet(folder / "trials.parquet", index=False)
    figures = cross_fitted_promise(rows, parts, report, SCORES).figures
    promise = {key: x and x._asdict() for key, x in figures.items()}
    summary = {
        "config": config.model_dump(mode="json"),
        "deployed": {"values": {}},
        "search_gain": {"mean": 0.01, "low": -0.02, "high": 0.04},
        "held_out": {"chosen": promise, "paper": promise, "never_novel": promise},
        "held_out_classes": {"super": 3, "sub": 18},
        "seconds": {"prepare": 1.0, "search": 100.0},
        "data_fingerprint": "0123456789abcdef0123",
        "images": n,
        "unreadable": 0,
        "plan": {"trials_at_a_time": 1, "workers": 1, "use_gpu": False},
        "versions": {"torch": "2"},
        "hardware": {"platform": "Linux", "python": "3", "cpus": 2, "gpus": []},
    }
    _write(folder / "summary.json", summary)
    return rows


def cache_of(table: ScoreTable, classes: Hierarchy, side: int = 64) -> ImageCache:
    """Images of noise, which compress worst, for every row of a table."""
    pixels = np.random.default_rng(0).integers(0, 256, (len(table), side, side, 3), dtype=np.uint8)
    return ImageCache(
        images=pixels,
        names=[str(name) for name in table.column("image")],
        super_labels=table.super.labels,
        sub_labels=table.sub.labels,
        hierarchy=classes,
        fingerprint="f",
        quarantine=pd.DataFrame(columns=["image", "reason"]),
    )


def _save_model(folder: Path, classes: Hierarchy) -> None:
    torch.manual_seed(0)
    backbone = build_backbone("smallnet", "none")
    heads = TwoHeads(backbone.n_features, classes.n_super, classes.n_sub)
    bundle = Bundle(
        net=TwoHeadNet(backbone, heads).eval(),
        backbone="smallnet",
        novel_output=False,
        preprocessing=Preprocessing(32, 32, 32, 0.875, "bilinear"),
        hierarchy=classes,
        scores=SCORES,
        states={},
    )
    save_bundle(bundle, folder)


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content))
