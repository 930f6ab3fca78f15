"""What each of several backbones costs in prediction, as it was measured."""

from hierclf.bundle.directory import Bundle
from hierclf.nets.side_by_side import SideBySide


def several_of(bundle: Bundle) -> SideBySide | None:
    """The backbones that predict, their clocks at zero; None for a model with one."""
    found = [module for module in bundle.inference_net.modules() if isinstance(module, SideBySide)]
    for several in found:
        several.start_clocks()
    return found[0] if found else None


def cost_note(several: SideBySide) -> str | None:
    """Milliseconds per image in each backbone since `several_of`, in one line.

    None where nothing was predicted, and on a GPU, which works on while the clock is read.
    """
    if not several.images or next(several.parameters()).device.type != "cpu":
        return None
    costs = (
        f"{part.named.name} {1e3 * seconds / several.images:.1f} ms"
        for part, seconds in zip(several.described, several.seconds, strict=True)
    )
    return f"measured per image: {', '.join(costs)}"
