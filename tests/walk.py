"""A new user's walk, command by command, in an empty folder: `python -m tests.walk FOLDER`.

From the README's first search to a report in a browser, an exported model that answers over HTTP,
and photos of a new kind that becomes a class. Each command is typed as a user types it; what it
leaves behind is checked, and the first thing that is wrong ends the walk.
"""

import base64
import json
import os
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
from safetensors.torch import load_file, save_file

from tests.browser import CHROMIUM, opened

BIN = Path(sys.executable).parent
TUNE = Path(__file__).parents[1] / "search" / "tune.py"
_SEARCH_OF_PHOTOS = """python -m search.tune --data photos --trials 0 --name own
    --set model.backbone=smallnet --set model.weights=weights.safetensors
    --set model.freeze=backbone --set model.image_size=64 --set model.crop_fraction=1.0
    --set train.epochs=10 --set folds.sub=2 --set folds.super=2 --set folds.mixed=0
    --set thresholds.scores=[msp,knn,mahalanobis]"""


def typed(*words: str | Path, within: float = 420.0) -> str:
    """Run a command as it is typed, and return what it prints; a failure ends the walk."""
    begun, line = time.monotonic(), " ".join(map(str, words))
    command = [str(BIN / words[0]), *map(str, words[1:])]
    done = subprocess.run(
        command,
        text=True,
        timeout=within,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    print(f"$ {line}   ({time.monotonic() - begun:.0f} s)", flush=True)
    if done.returncode != 0:
        sys.exit(f"{done.stdout}\nexit code {done.returncode}: {line}")
    return done.stdout


def first_search() -> Path:
    """The README's first command with two trials in place of six; its folder of the run."""
    said = typed("python", TUNE, "--trials", "2", within=900)
    (run,) = Path("results/runs").iterdir()
    assert f"open in a browser: {run}/report.html" in said
    for word in ("hierclf demo demo-set", f"hierclf predict {run}/model demo-set/test_images.zip"):
        assert word in said, word
    if CHROMIUM is not None:
        page = opened(run / "report.html")
        assert "threshold" in page.lower()
        assert "new sub-class" in page
    return run


def judged(run: Path) -> pd.DataFrame:
    """Predictions of the demo set's test images, and what they are compared with."""
    typed("hierclf", "demo", "demo-set")
    typed("hierclf", "predict", run / "model", "demo-set/test_images.zip", "--out", "all.csv")
    said = typed(
        "hierclf", "evaluate", "all.csv", "demo-set/test_labels.csv", "--model", run / "model"
    )
    assert "super harmonic" in said
    return pd.read_csv("all.csv")


def exported_and_served(run: Path, expected: pd.DataFrame) -> None:
    """Ten images answered over HTTP, by the exported model, as `hierclf predict` answers them."""
    typed("hierclf", "export", run / "model", "exported")
    names = list(expected["image"][:10])
    with zipfile.ZipFile("demo-set/test_images.zip") as file:
        images = [base64.b64encode(file.read(f"test_images/{name}")).decode() for name in names]
    with served("exported") as address:
        body = json.dumps({"images": images}).encode()
        request = urllib.request.Request(
            f"{address}/predict", body, {"Content-Type": "application/json"}
        )
        rows = json.load(urllib.request.urlopen(request, timeout=60))["predictions"]
    for level in ("superclass", "subclass"):
        assert [row[level] for row in rows] == list(expected[level][:10]), level


@contextmanager
def served(model: str) -> Iterator[str]:
    """The address of `hierclf serve MODEL`, which ends with the block."""
    command = [str(BIN / "hierclf"), "serve", model, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        print(f"$ hierclf serve {model} --port 0", flush=True)
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            yield next(word for word in line.split() if word.startswith("http://")).rstrip("/,")
        finally:
            process.terminate()
            assert process.wait(timeout=30) == 0


def photos() -> tuple[str, str]:
    """`photos/super/sub/` of all sub-classes but the last one, whose images go to `new/`.

    Returns:
        the names of that sub-class and of its super-class.
    """
    folder = Path("demo-set")
    table = pd.read_csv(folder / "train_data.csv")
    for level in ("superclass", "subclass"):
        names = pd.read_csv(folder / f"{level}_mapping.csv").set_index("index")["class"]
        table[level] = table[f"{level}_index"].map(names)
    last = table.sort_values("subclass_index").to_dict("records")[-1]
    with zipfile.ZipFile(folder / "train_images.zip") as file:
        for row in table.to_dict("records"):
            known = row["subclass"] != last["subclass"]
            place = Path("photos", row["superclass"], row["subclass"]) if known else Path("new")
            place.mkdir(parents=True, exist_ok=True)
            (place / row["image"]).write_bytes(file.read(f"train_images/{row['image']}"))
    return str(last["subclass"]), str(last["superclass"])


def class_added(run: Path) -> None:
    """Photos of one's own, a model with a frozen network, and a new kind that it comes to know."""
    sub, parent = photos()
    # The first search's network stands for published weights.
    network = load_file(run / "model" / "model.safetensors")
    own = {key[9:]: value for key, value in network.items() if key.startswith("backbone.")}
    save_file(own, "weights.safetensors")
    typed("hierclf", "check", "photos")
    typed(*_SEARCH_OF_PHOTOS.split())
    model = Path("results/runs/own/model")
    typed("hierclf", "novel", model, "new", "--out", "groups")
    assert Path("groups/novel.html").is_file()
    typed("hierclf", "add-class", model, "new", "--sub", sub, "--super", parent)
    typed("hierclf", "predict", f"{model}-2", "new", "--out", "new.csv")
    share = float((pd.read_csv("new.csv")["subclass"] == sub).mean())
    print(f"{sub}: {share:.0%} of its own images are recognised")
    assert share > 0.2  # before, none could be


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True)
    os.chdir(folder)
    run = first_search()
    exported_and_served(run, judged(run))
    class_added(run)


if __name__ == "__main__":
    main()
