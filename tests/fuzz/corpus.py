"""Valid inputs, made by code, that the fuzzer starts from."""

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hierclf.bundle.directory import save_bundle
from hierclf.rules.rule import LevelRule, Rule
from hierclf.scores import PRETRAINED_SCORES, SCORES, ScoreInputs, fit_scores
from tests.layouts import TREE, id_columns, parquet, release, text_columns, tree, write_csv
from tests.tiny_models import HIERARCHY, SIZE, picture, save_tiny_model, tiny_bundle

MODEL_FILES = (
    *("bundle.json", "thresholds.json", "score_table.parquet"),
    *("model.safetensors", "scores.safetensors", "training_images.parquet"),
)


def images() -> list[bytes]:
    """Encoded images of every accepted format, mode, compression and oddity."""
    exif = Image.Exif()
    exif[0x0112] = 6
    colour = picture(1)
    frames: dict[str, Any] = {"save_all": True, "append_images": [picture(2), picture(3)]}
    grey16 = Image.fromarray(np.arange(SIZE * SIZE, dtype=np.uint16).reshape(SIZE, SIZE) * 60)
    palette = colour.convert("P")
    alpha = colour.convert("RGBA")
    alpha.putalpha(120)
    cases: list[tuple[Image.Image, str, dict[str, Any]]] = [
        *((colour, kind, {}) for kind in ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")),
        *((colour.convert("L"), kind, {}) for kind in ("JPEG", "PNG", "BMP", "TIFF", "PPM")),
        *((colour.convert("1"), kind, {}) for kind in ("PNG", "BMP", "TIFF", "GIF", "PPM")),
        *((colour, kind, frames) for kind in ("PNG", "WEBP", "GIF", "TIFF", "MPO")),
        *((colour, "TIFF", {"compression": c}) for c in ("tiff_lzw", "tiff_deflate", "packbits")),
        *((colour, kind, {"exif": exif}) for kind in ("JPEG", "PNG", "WEBP")),
        *((colour.convert("CMYK"), kind, {}) for kind in ("JPEG", "TIFF")),
        *((grey16, kind, {}) for kind in ("PNG", "TIFF", "PPM")),
        *((alpha, kind, {}) for kind in ("PNG", "WEBP", "TIFF", "BMP")),
        (palette, "PNG", {"transparency": bytes(range(256))}),
        (palette, "GIF", {"transparency": 3}),
        (colour, "PNG", {"transparency": (1, 2, 3)}),
        (colour, "JPEG", {"progressive": True}),
        (colour, "WEBP", {"lossless": True}),
        (Image.new("RGB", (1, 1)), "PNG", {}),
    ]
    found = []
    for image, kind, options in cases:
        out = io.BytesIO()
        image.save(out, kind, **options)
        found.append(out.getvalue())
    return found


def models(folder: Path) -> list[dict[str, bytes]]:
    """Two model directories, file by file: one with a score table, one with nearly all scores."""
    save_tiny_model(folder / "tiny")
    bundle = tiny_bundle()
    rng = np.random.default_rng(0)
    sub = np.arange(80) % HIERARCHY.n_sub
    means = rng.normal(size=(HIERARCHY.n_sub, 128))
    inputs = ScoreInputs(
        (means[sub] + rng.normal(size=(80, 128))).astype(np.float32),
        rng.normal(size=(80, HIERARCHY.n_super)).astype(np.float32),
        rng.normal(size=(80, HIERARCHY.n_sub)).astype(np.float32),
    )
    scores = {name: score for name, score in SCORES.items() if name not in PRETRAINED_SCORES}
    states = fit_scores(inputs, np.asarray(HIERARCHY.sub_to_super)[sub], sub, scores=scores)
    rule = Rule(LevelRule("0.5*msp + 0.2*knn", 0.3), LevelRule("energy + 2*super.mahalanobis", 0.5))
    whole = replace(bundle, scores=tuple(scores), states=states, rule=rule)
    save_bundle(whole, folder / "whole")
    return [
        {name: (folder / kind / name).read_bytes() for name in names}
        for kind, names in (
            ("tiny", MODEL_FILES),
            ("whole", [name for name in MODEL_FILES if not name.endswith(".parquet")]),
        )
    ]


def tables(folder: Path) -> list[dict[str, bytes]]:
    """Data folders of every format, file by file."""
    release(folder / "zipped", table="labels.csv")
    release(folder / "loose", archive=None)
    write_csv(folder / "loose/metadata.csv", ("file_name", "label"), [("0.png", "a;b")])
    tree(folder / "tree", TREE)
    (folder / "texts/split=train").mkdir(parents=True, exist_ok=True)
    parquet(folder / "texts/split=train/0.parquet", text_columns())
    (folder / "ids/data").mkdir(parents=True, exist_ok=True)
    parquet(folder / "ids/data/train-0.parquet", id_columns())
    flat = tree(folder / "flat", [name.partition("/")[2] for name in TREE])
    write_csv(flat / "hierarchy.csv", ("sub", "super"), [("owl", "b"), ("hen", "b"), ("pug", "d")])
    for name in ("train", "val"):
        tree(folder / "folder" / name, [f"{i}.png" for i in range(6)])
        lines = [
            json.dumps({"file_name": f"{i}.png", "super": "bd"[i // 4], "sub": "ohp"[i // 2]})
            for i in range(6)
        ]
        (folder / "folder" / name / "metadata.jsonl").write_text("\n".join(lines))
    found = []
    for root in sorted(folder.iterdir()):
        files = sorted(path for path in root.rglob("*") if path.is_file())
        found.append({path.relative_to(root).as_posix(): path.read_bytes() for path in files})
    return found
