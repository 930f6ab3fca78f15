"""A small CLIP that learns the demo set's words from pictures: open_clip's own towers and loss."""

import json
from pathlib import Path

import numpy as np
import open_clip
import safetensors.torch
import torch
from torch.nn.functional import interpolate

from hierclf.data.drawing import ARRANGEMENTS, SHAPES, TEXTURES, draw

NAME = "hierclf-test"
SIZE = 48
_CONFIG = {
    "embed_dim": 64,
    "vision_cfg": {
        "timm_model_name": "test_byobnet",
        "timm_model_pretrained": False,
        "timm_pool": "",
        "timm_proj": "linear",
        "image_size": SIZE,
    },
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 1},
}
_PREFIXES = ("a photo of a {}.", "a {}.", "a picture of a {}.", "{}")


def add_small_config(folder: Path) -> None:
    """Make `NAME` one of open_clip's models in this process."""
    path = folder / f"{NAME}.json"
    path.write_text(json.dumps(_CONFIG))
    open_clip.add_model_config(path)


def write_random_weights(path: Path, seed: int = 0) -> Path:
    """The weights of an untrained model; `add_small_config` comes first."""
    torch.manual_seed(seed)
    safetensors.torch.save_file(open_clip.create_model(NAME).state_dict(), path)
    return path


def write_trained_weights(
    path: Path, *, steps: int, pictures: int, batch: int = 64, seed: int = 0
) -> Path:
    """Train on pictures of every shape, texture and arrangement, captioned by what was drawn."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = open_clip.create_model(NAME)
    model.token_embedding.requires_grad_(False)  # large, and random vectors tell words apart
    tokenize = open_clip.get_tokenizer(NAME)
    pixels, words = _drawn(pictures, rng)
    pixels = as_model_sees(model, pixels)
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], weight_decay=0.05
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    loss_of = open_clip.ClipLoss()
    for _ in range(steps):
        rows = rng.choice(pictures, batch, replace=False)
        shown = pixels[torch.from_numpy(rows)]
        shown = shown.flip(3) if rng.uniform() < 0.5 else shown
        captions = [_caption(words[row], rng) for row in rows]
        loss = loss_of(*model(shown, tokenize(captions)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    safetensors.torch.save_file(model.state_dict(), path)
    return path


def _drawn(count: int, rng: np.random.Generator) -> tuple[torch.Tensor, list[list[str]]]:
    """Pictures, uint8 [count, 3, 64, 64], and what each shows: shape, texture, arrangement."""
    words = [
        [str(rng.choice(list(names))) for names in (SHAPES, TEXTURES, ARRANGEMENTS)]
        for _ in range(count)
    ]
    images = np.stack([draw(each[0], each[1], each[2], rng) for each in words])
    return torch.from_numpy(images).permute(0, 3, 1, 2), words


def as_model_sees(
    model: torch.nn.Module, pixels: torch.Tensor, *, mode: str = "bilinear"
) -> torch.Tensor:
    """Normalised images, float [N, 3, SIZE, SIZE], of pixels uint8 [N, 3, H, W]."""
    how = open_clip.get_model_preprocess_cfg(model)
    mean, std = (torch.tensor(how[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    small = interpolate(pixels / 255, (SIZE, SIZE), mode=mode, antialias=True)
    return (small - mean) / std


def _caption(words: list[str], rng: np.random.Generator) -> str:
    """Some of the words, as the demo set names its classes, in a sentence."""
    named = [word for word in words if word != "single"]
    kept = named if rng.uniform() < 0.7 else named[:1]
    return str(rng.choice(_PREFIXES)).format(" ".join(kept))
