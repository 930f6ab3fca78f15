"""A small CLIP that learns a few words from pictures: open_clip's own towers and loss."""

import json
from pathlib import Path

import numpy as np
import open_clip
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

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
COLOURS = {
    "red": (1.0, 0.1, 0.1),
    "green": (0.1, 0.8, 0.1),
    "blue": (0.1, 0.2, 1.0),
    "yellow": (1.0, 0.9, 0.1),
    "purple": (0.7, 0.1, 0.8),
    "white": (1.0, 1.0, 1.0),
}
PATTERNS = ("plain", "striped", "checked")
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


def write_trained_weights(path: Path, *, steps: int, seed: int = 0) -> Path:
    """Train on pictures of every colour and pattern, captioned by what was drawn."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = open_clip.create_model(NAME)
    model.token_embedding.requires_grad_(False)  # large, and random vectors tell words apart
    tokenize = open_clip.get_tokenizer(NAME)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    loss_of = open_clip.ClipLoss()
    for step in range(steps):
        # No two captions of a batch are the same: the loss takes others for wrong ones.
        whole = step % 3 > 0
        words = [(c, p) for c in COLOURS for p in (PATTERNS if whole else (rng.choice(PATTERNS),))]
        pixels = np.stack([draw_picture(*each, rng) for each in words])
        prefix = str(rng.choice(_PREFIXES))
        captions = [prefix.format(f"{p} {c}" if whole else c) for c, p in words]
        shown = as_model_sees(model, torch.from_numpy(pixels).permute(0, 3, 1, 2))
        loss = loss_of(*model(shown, tokenize(captions)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    safetensors.torch.save_file(model.state_dict(), path)
    return path


def draw_picture(colour: str, pattern: str, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A square of a colour and a pattern on grey noise, uint8 [64, 64, 3]."""
    canvas = rng.uniform(0.3, 0.6) + rng.normal(0, 0.05, (64, 64, 3))
    side, (top, left) = int(rng.integers(36, 52)), rng.integers(0, 12, 2)
    y, x = np.mgrid[:side, :side] // int(rng.integers(5, 8))
    dark = {"plain": 0 * x, "striped": y % 2, "checked": (x + y) % 2}[pattern]
    square = np.array(COLOURS[colour]) * rng.uniform(0.7, 1.0) * (1 - 0.7 * dark[..., None])
    canvas[top : top + side, left : left + side] = square[: 64 - top, : 64 - left]
    canvas += rng.normal(0, 0.05, canvas.shape)
    return (255 * canvas.clip(0, 1)).astype(np.uint8)


def as_model_sees(
    model: torch.nn.Module, pixels: torch.Tensor, *, mode: str = "bilinear"
) -> torch.Tensor:
    """Normalised images, float [N, 3, SIZE, SIZE], of pixels uint8 [N, 3, H, W]."""
    how = open_clip.get_model_preprocess_cfg(model)
    mean, std = (torch.tensor(how[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    small = interpolate(pixels / 255, (SIZE, SIZE), mode=mode, antialias=True)
    return (small - mean) / std
