"""How many epochs a search needs, replayed on recorded learning curves.

Simulated: what a trial's training gives. `learning_curves.py` recorded a few dozen trainings of
full length; the curve of any other configuration is interpolated between theirs. Real: every
decision. Optuna's sampler is asked and told as Ray's OptunaSearch does, and the search's own ASHA
scheduler judges every report; two trials run at a time, an epoch each in turn.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import optuna
import pandas as pd
import torch
from scipy.interpolate import RBFInterpolator

from hierclf.config import Config, load_config
from search.tuning.halving import PersistentASHA
from search.tuning.space import distributions
from tests.benchmarks.frame import Rounds, Skip, figure
from tests.benchmarks.learning_curves import TUNED, to_unit

ROOT = Path(__file__).parents[2]
TRIALS = 32
AT_A_TIME = 2

CurveOf = Callable[[dict[str, float]], np.ndarray]


class Replay(NamedTuple):
    """What a search did: the best objective after every epoch it spent, and its trials' lengths."""

    best: np.ndarray
    lengths: list[int]


def surrogate(path: Path, config: Config) -> tuple[CurveOf, float]:
    """Curves of any configuration, and the median error of the best epoch's, left out in turn."""
    table = pd.read_csv(path)
    points = to_unit(table, config)
    curves = table.drop(columns=list(TUNED)).to_numpy()

    def interpolate(kept: np.ndarray) -> RBFInterpolator:
        return RBFInterpolator(points[kept], curves[kept], kernel="linear", neighbors=16)

    whole = interpolate(np.ones(len(points), dtype=bool))
    errors = []
    for i in range(len(points)):
        other = np.arange(len(points)) != i
        errors.append(abs(interpolate(other)(points[i : i + 1])[0].max() - curves[i].max()))

    def curve(values: dict[str, float]) -> np.ndarray:
        row = {key.removeprefix("train."): value for key, value in values.items()}
        return whole(to_unit(pd.DataFrame([row]), config))[0]

    return curve, float(np.median(errors))


def random_search(curve_of: CurveOf, config: Config, seed: int) -> Replay:
    """Full-length trials at random."""
    sampler = optuna.samplers.RandomSampler(seed=seed)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    curves = [curve_of(study.ask(distributions(config)).params) for _ in range(TRIALS)]
    running = np.concatenate([_in_turn(curves[i : i + 2]) for i in range(0, TRIALS, AT_A_TIME)])
    return Replay(np.maximum.accumulate(running), [len(curve) for curve in curves])


def _in_turn(curves: list[np.ndarray]) -> np.ndarray:
    return np.stack(curves, axis=1).ravel()


def tuned_search(
    curve_of: CurveOf,
    config: Config,
    seed: int,
    *,
    first: list[dict[str, float]] | None = None,
    budget: int,
) -> Replay:
    """TPE and ASHA with the search's own settings, until `budget` epochs are spent."""
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    for values in first or []:
        study.enqueue_trial(values)
    best: list[float] = []
    lengths: list[int] = []
    with tempfile.TemporaryDirectory() as folder:
        asha = PersistentASHA(
            Path(folder) / "rungs.json",
            epochs=config.train.epochs,
            grace_epochs=config.search.grace_epochs,
            reduction_factor=config.search.reduction_factor,
        )
        asha.set_search_properties("best_objective", "max")
        running = [_run(study, curve_of, config, asha) for _ in range(AT_A_TIME)]
        while len(best) < budget:
            for i, trial in enumerate(running):
                value, length = next(trial)
                best.append(value)
                if length:
                    lengths.append(length)
                    running[i] = _run(study, curve_of, config, asha)
    return Replay(np.maximum.accumulate(best[:budget]), lengths)


def _run(
    study: optuna.Study, curve_of: CurveOf, config: Config, asha: PersistentASHA
) -> Iterator[tuple[float, int]]:
    """One trial, an epoch at a time: its objective, and its length once it has ended, else 0."""
    asked = study.ask(distributions(config))
    curve = curve_of(asked.params)
    trial: Any = SimpleNamespace(trial_id=str(asked.number))
    asha.on_trial_add(None, trial)
    for epoch, value in enumerate(curve, start=1):
        result = {"epoch": epoch, "best_objective": float(curve[:epoch].max())}
        ended = epoch == len(curve) or asha.on_trial_result(None, trial, result) == asha.STOP
        if ended:
            asha.on_trial_complete(None, trial, result)
            study.tell(asked, result["best_objective"])
        yield float(value), epoch if ended else 0
        if ended:
            return


def epochs_to_reach(replay: Replay, target: float) -> float:
    """Epochs until the best objective is at least `target`; infinite where it never is."""
    reached = np.flatnonzero(replay.best >= target)
    return float(reached[0] + 1) if len(reached) else float("inf")


SEEDS = range(5)


@figure(
    "search_epochs",
    unit="epochs",
    ours="TPE + ASHA until the best of 32 random full-length trials is reached; frozen features",
    theirs="those trials until they reach it themselves",
    aim="ratio 2",
)
def search_epochs(device: torch.device) -> Rounds:
    return _compare("frozen", load_config(ROOT / "configs" / "cpu.yaml"))


@figure(
    "search_epochs_demo",
    unit="epochs",
    ours="TPE + ASHA until the best of 32 random full-length trials is reached; the demo set",
    theirs="those trials until they reach it themselves",
    aim="ratio 2",
)
def search_epochs_demo(device: torch.device) -> Rounds:
    return _compare("demo", load_config(ROOT / "configs" / "demo.yaml"))


def _compare(name: str, config: Config) -> Rounds:
    path = ROOT / "results" / f"curves-{name}.csv"
    if not path.is_file():
        raise Skip(f"it needs {path.relative_to(ROOT)}; learning_curves.py records it")
    curve_of, error = surrogate(path, config)
    budget = TRIALS * config.train.epochs
    found = compare(curve_of, config, SEEDS)
    plot(found, config, ROOT / "results" / f"search_efficiency_{name}.png")
    targets = [theirs.best[-1] for _, theirs in found]
    spent = [epochs_to_reach(pair[0], best) for pair, best in zip(found, targets, strict=True)]
    random = [epochs_to_reach(pair[1], best) for pair, best in zip(found, targets, strict=True)]
    lengths = np.concatenate([ours.lengths for ours, _ in found])
    note = (
        f"replayed on {len(pd.read_csv(path))} recorded trainings (left out in turn, the best "
        f"objective is missed by {100 * error:.2f} points); mean fraction of the {budget} epochs: "
        f"{np.mean(np.minimum(spent, budget)) / budget:.2f} against "
        f"{np.mean(random) / budget:.2f}, "
        f"{sum(x > budget for x in spent)} of {len(found)} never reached it; "
        f"a trial has {lengths.mean():.1f} epochs"
    )
    return Rounds([min(budget, x) for x in spent], random, note=note)


def compare(curve_of: CurveOf, config: Config, seeds: Iterable[int]) -> list[tuple[Replay, Replay]]:
    """The tuned and the random search for every seed, without first trials chosen by hand."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    budget = TRIALS * config.train.epochs
    return [
        (
            tuned_search(curve_of, config, seed, budget=budget),
            random_search(curve_of, config, seed),
        )
        for seed in seeds
    ]


def plot(found: list[tuple[Replay, Replay]], config: Config, path: Path) -> None:
    """Best objective so far against epochs spent, the mean and the range over seeds."""
    drawing, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    spent = np.arange(1, TRIALS * config.train.epochs + 1)
    for i, label in enumerate(("TPE + ASHA", "random, full length")):
        best = 100 * np.stack([pair[i].best for pair in found])
        (line,) = axes.plot(spent, best.mean(axis=0), label=label)
        axes.fill_between(spent, best.min(axis=0), best.max(axis=0), alpha=0.2, lw=0)
        if i == 1:
            axes.axhline(best[:, -1].mean(), color=line.get_color(), lw=0.8, ls=":")
    axes.axvline(spent[-1] / 3, color="grey", lw=0.8, ls=":")
    low = min(pair[1].best[config.train.epochs] for pair in found)
    axes.set(xlabel="epochs spent", ylabel="best objective so far (%)", ylim=(100 * low, None))
    axes.legend(loc="lower right")
    drawing.savefig(path, dpi=150)
    plt.close(drawing)
