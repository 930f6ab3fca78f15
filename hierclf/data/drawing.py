"""Draw one picture of the demo set: arranged, textured shapes on a cluttered background.

Every shape is a signed distance function in its own coordinates (u to the right, v downwards, its
radius about 1, negative inside), so that edges are smooth without supersampling. Colours are RGB
floats in [0, 1] until the last step. All randomness comes from the generator passed as an argument.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]  # float32 throughout: [H, W] or, for colours, [H, W, 3]
Shape = Callable[[Array, Array], Array]
Texture = Callable[[Array, Array, float], Array]

SIZE = 64  # pixels, both sides
_Y, _X = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32) + np.float32(0.5)
_COARSE = 6  # cells per side of the background's patches


def draw(shape: str, texture: str, arrangement: str, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw one picture, uint8 [64, 64, 3].

    The names are keys of SHAPES, TEXTURES and ARRANGEMENTS. Colour, light, position, size,
    rotation, clutter and noise come from `rng`: equal states give equal pictures.
    """
    smallest, largest, places = ARRANGEMENTS[arrangement]
    hue = rng.uniform()
    canvas = _ground(rng, hue)
    look = _random_look(rng, hue)
    radius = rng.uniform(smallest, largest)
    reach = radius * (1 + max(math.hypot(*place) for place in places))
    middle = SIZE / 2 + rng.uniform(-1, 1, 2) * max(2.0, 0.6 * (SIZE / 2 - reach))
    turn, tilt = rng.uniform(-_TURN, _TURN), rng.uniform(-_TURN, _TURN)
    for x, y in places:
        jitter = rng.normal(0, 0.06, 2)
        x, y = x + jitter[0], y + jitter[1]
        pose = _Pose(
            x=float(middle[0]) + radius * (math.cos(turn) * x - math.sin(turn) * y),
            y=float(middle[1]) + radius * (math.sin(turn) * x + math.cos(turn) * y),
            radius=radius * rng.uniform(0.9, 1.1),
            angle=tilt + rng.normal(0, 0.15),
        )
        _paint(canvas, SHAPES[shape], TEXTURES[texture], pose, look)
    for _ in range(rng.integers(0, 2)):  # sometimes clutter in the foreground
        _blend(canvas, _clutter(rng), _colour(rng.uniform(), 0.4, rng.uniform()))
    return _photograph(canvas, rng)


# --- colours, background and light -----------------------------------------------------------


def _colour(hue: float, saturation: float, value: float) -> Array:
    """HSV to RGB [3], all in [0, 1]; the hue wraps around (Smith 1978, in branch-free form)."""
    k = (np.array([5.0, 3.0, 1.0]) + hue * 6) % 6
    rgb = value - value * saturation * np.clip(np.minimum(k, 4 - k), 0, 1)
    return rgb.astype(np.float32)


def _random_look(rng: np.random.Generator, ground_hue: float) -> _Look:
    hue = ground_hue + rng.uniform(0.15, 0.85)
    value = rng.uniform(0.45, 1.0)
    # The second colour moves towards the farther end of the scale, so that the texture is visible.
    step = rng.uniform(*_CONTRAST)
    other = value - step if value > 0.6 else value + step
    light = rng.uniform(0, 2 * math.pi)
    return _Look(
        base=_colour(hue, rng.uniform(0.6, 1.0), value),
        accent=_colour(hue + rng.normal(0, 0.1), rng.uniform(0.5, 1.0), other),
        light=(math.cos(light), math.sin(light)),
        relief=rng.uniform(0.1, 0.4),
        shadow=rng.uniform(0.15, 0.55),
        mirror=1 if rng.uniform() < 0.5 else -1,
        grain=rng.uniform(-_TURN, _TURN),
        period=rng.uniform(*_PERIOD),
        phase=rng.uniform(0, 2 * math.pi),
    )


def _ground(rng: np.random.Generator, hue: float) -> Array:
    """A background [SIZE, SIZE, 3]: two colours mixed by a gradient and patches, then clutter."""
    first = _colour(hue, rng.uniform(0.05, 0.35), rng.uniform(0.3, 0.95))
    second = _colour(hue + rng.normal(0, 0.1), rng.uniform(0.05, 0.35), rng.uniform(0.2, 0.95))
    patches = _STRETCH @ rng.uniform(-1, 1, (_COARSE, _COARSE)).astype(np.float32) @ _STRETCH.T
    slope = 0.5 + _ramp(rng.uniform(0, 2 * math.pi))
    mix = np.clip(slope + rng.uniform(0.1, 0.6) * patches, 0, 1)
    canvas = first + mix[..., None] * (second - first)
    for _ in range(rng.integers(1, 4)):
        _blend(canvas, _clutter(rng), _colour(hue + rng.normal(0, 0.2), 0.3, rng.uniform()))
    return canvas


def _clutter(rng: np.random.Generator) -> Array:
    """Coverage [SIZE, SIZE], 0 to 1, of a random blade (long, thin) or blot (round, soft)."""
    x, y, angle = rng.uniform(0, SIZE), rng.uniform(0, SIZE), rng.uniform(0, math.pi)
    u, v = _Pose(x, y, 1.0, angle).local(_X, _Y)
    if rng.uniform() < 0.5:
        distance = np.hypot(np.maximum(np.abs(u) - rng.uniform(8, 40), 0), v)
        cover = _inside(distance - rng.uniform(0.3, 1.4))
    else:
        distance = np.hypot(u, v * rng.uniform(0.8, 1.6))
        cover = _inside(distance - rng.uniform(2, 9), rng.uniform(1, 5))
    return rng.uniform(0.25, 0.75) * cover


def _ramp(angle: float) -> Array:
    """A gradient from about -0.5 to 0.5 that rises in the direction `angle` (radians)."""
    return (math.cos(angle) * (_X - SIZE / 2) + math.sin(angle) * (_Y - SIZE / 2)) / SIZE


def _photograph(canvas: Array, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Apply uneven light, tint, contrast and sensor noise, then convert to uint8."""
    lamp = 1 + rng.uniform(0, 0.35) * _ramp(rng.uniform(0, 2 * math.pi))
    tint = rng.uniform(0.75, 1.15) * rng.uniform(0.92, 1.08, 3).astype(np.float32)
    canvas = canvas * lamp[..., None] * tint
    grey = float(canvas.mean())
    canvas = grey + (canvas - grey) * rng.uniform(0.8, 1.1)
    noise = rng.standard_normal((SIZE, SIZE, 3), dtype=np.float32)
    canvas = canvas + rng.uniform(*_NOISE) * noise
    return (np.clip(canvas, 0, 1) * 255 + 0.5).astype(np.uint8)


# --- painting --------------------------------------------------------------------------------


def _inside(distance: Array, softness: float = 1.0) -> Array:
    """Coverage from a distance in pixels: 1 inside, 0 outside, `softness` pixels in between."""
    return np.clip(0.5 - distance / softness, 0, 1)


def _blend(canvas: Array, cover: Array, colour: Array) -> None:
    """Lay `colour` over `canvas` in place."""
    canvas += cover[..., None] * (colour - canvas)


def _paint(canvas: Array, shape: Shape, texture: Texture, pose: _Pose, look: _Look) -> None:
    """Paint one shape in place: its shadow, then the shape with texture and relief."""
    window = pose.window()  # nothing changes outside it; this takes a third of the time
    canvas, x, y = canvas[window], _X[window], _Y[window]
    light_x, light_y = look.light
    below = pose._replace(x=pose.x - 2.5 * light_x, y=pose.y - 2.5 * light_y)
    u, v = below.local(x, y)
    shadow = look.shadow * _inside(shape(look.mirror * u, v) * pose.radius, 4.0)
    canvas *= (1 - shadow)[..., None]

    u, v = pose.local(x, y)
    distance = shape(look.mirror * u, v) * pose.radius
    scale = 2 * math.pi * pose.radius / look.period
    cos, sin = scale * math.cos(look.grain), scale * math.sin(look.grain)
    mix = texture(cos * u + sin * v, cos * v - sin * u, look.phase)
    colour = look.base + mix[..., None] * (look.accent - look.base)
    slope = look.relief / pose.radius * (light_x * (x - pose.x) + light_y * (y - pose.y))
    rim = 1 - 0.35 * np.clip(1 + distance / 2, 0, 1)
    _blend(canvas, _inside(distance), colour * ((1 + slope) * rim)[..., None])


# --- shapes: (u, v) -> distance in units of the radius ----------------------------------------


def _cross(u: Array, v: Array) -> Array:
    a, b = np.abs(u), np.abs(v)
    return np.maximum(np.maximum(a, b) - 0.98, np.minimum(a, b) - 0.36)


def _fish(u: Array, v: Array) -> Array:
    a = np.abs(v)
    body = np.hypot(u - 0.22, a + 0.42) - 0.98
    tail = np.maximum(np.maximum(a + 0.9 * u + 0.45, -u - 1.1), -0.8 * u - 0.5 * a - 0.72)
    eye = np.hypot(u - 0.68, v + 0.1) - 0.1
    return np.maximum(np.minimum(body, tail), -eye)


def _heart(u: Array, v: Array) -> Array:
    a = np.abs(u)
    lobes = np.hypot(a - 0.45, v + 0.45) - 0.5
    point = np.maximum(0.78 * a + 0.62 * v - 0.47, -v - 0.5)
    return np.minimum(lobes, point)


def _leaf(u: Array, v: Array) -> Array:
    bent = v + 0.18 * u * u - 0.06
    blade = np.hypot(u, np.abs(bent) + 0.62) - 1.2
    stem = np.hypot(np.maximum(np.abs(u + 1.05) - 0.3, 0), bent) - 0.07
    return np.minimum(blade, stem)


def _star(u: Array, v: Array) -> Array:
    """Five points: fold the plane until one edge stands for all ten (after Inigo Quilez)."""
    x, y = np.abs(u), -v
    cos, sin = math.cos(math.pi / 5), math.sin(math.pi / 5)
    over = 2 * np.maximum(cos * x - sin * y, 0)
    x, y = x - cos * over, y + sin * over
    over = 2 * np.maximum(-cos * x - sin * y, 0)
    x, y = np.abs(x + cos * over), y + sin * over
    tip, corner = 1.1, 0.52  # radii of the points and of the corners between them
    along_x, along_y = corner * sin, corner * cos - tip
    return (along_x * (y - tip) - along_y * x) / math.hypot(along_x, along_y)


# --- textures: (along, across) in radians, 2 pi per period -> fraction of the accent colour ----


def _checked(along: Array, across: Array, phase: float) -> Array:
    return _crisp(1.6 * np.sin(0.8 * along + phase) * np.sin(0.8 * across + phase))


def _dotted(along: Array, across: Array, phase: float) -> Array:
    return _crisp(np.sin(0.9 * along + phase) + np.sin(0.9 * across + phase) - 0.75)


def _plain(along: Array, across: Array, phase: float) -> Array:
    return np.full_like(along, 0.15)


def _ringed(along: Array, across: Array, phase: float) -> Array:
    return _crisp(np.sin(np.hypot(along, across) + phase))


def _striped(along: Array, across: Array, phase: float) -> Array:
    return _crisp(np.sin(along + phase))


def _crisp(wave: Array) -> Array:
    return np.clip(0.5 + 1.2 * wave, 0, 1)


def _stretch() -> Array:
    """Matrix [SIZE, _COARSE] that interpolates a coarse row of cells linearly to pixels."""
    position = np.linspace(0, _COARSE - 1, SIZE)
    return np.clip(1 - np.abs(position[:, None] - np.arange(_COARSE)), 0, 1).astype(np.float32)


_STRETCH = _stretch()
# The difficulty, as (smallest, largest): set so that the demo recipe gets about 90 % right.
_CONTRAST = (0.35, 0.6)  # between the two colours of a texture, as HSV value
_PERIOD = (6.0, 7.5)  # of a texture, pixels
_NOISE = (0.01, 0.035)  # standard deviation
_TURN = 0.35  # largest rotation of arrangements, shapes and textures, radians either way

SHAPES: dict[str, Shape] = {
    shape.__name__.removeprefix("_"): shape for shape in (_cross, _fish, _heart, _leaf, _star)
}
TEXTURES: dict[str, Texture] = {
    "checked": _checked,
    "dotted": _dotted,
    "plain": _plain,
    "ringed": _ringed,
    "striped": _striped,
}
# Smallest and largest radius in pixels, and the positions of the shapes in units of the radius.
ARRANGEMENTS: dict[str, tuple[float, float, tuple[tuple[float, float], ...]]] = {
    "single": (15.0, 22.0, ((0.0, 0.0),)),
    "pair": (10.5, 14.5, ((-1.15, 0.0), (1.15, 0.0))),
    "trio": (9.5, 12.5, ((0.0, -1.3), (1.13, 0.65), (-1.13, 0.65))),
    "row": (8.5, 10.5, ((-2.2, 0.0), (0.0, 0.0), (2.2, 0.0))),
}


class _Pose(NamedTuple):
    """A shape's centre and radius in pixels, and its angle in radians."""

    x: float
    y: float
    radius: float
    angle: float

    def local(self, x: Array, y: Array) -> tuple[Array, Array]:
        """The shape's own coordinates (u, v) of pixels."""
        cos, sin = math.cos(self.angle) / self.radius, math.sin(self.angle) / self.radius
        dx, dy = x - self.x, y - self.y
        return cos * dx + sin * dy, cos * dy - sin * dx

    def window(self) -> tuple[slice, slice]:
        """Rows and columns that the shape and its shadow can reach."""
        reach = 1.4 * self.radius + 6  # 1.35: the leaf's stem
        low_x, low_y = max(0, int(self.x - reach)), max(0, int(self.y - reach))
        high_x, high_y = max(0, int(self.x + reach) + 1), max(0, int(self.y + reach) + 1)
        return slice(low_y, high_y), slice(low_x, high_x)


class _Look(NamedTuple):
    """The properties that the shapes of one picture share."""

    base: Array
    accent: Array
    light: tuple[float, float]  # unit vector towards the light
    relief: float
    shadow: float
    mirror: int  # 1 or -1
    grain: float  # direction of the texture, radians
    period: float  # of the texture, pixels
    phase: float  # of the texture, radians
