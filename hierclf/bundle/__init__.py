"""The model directory: what training leaves and prediction loads."""

from hierclf.bundle.directory import Bundle, load_bundle, save_bundle

__all__ = ["Bundle", "load_bundle", "save_bundle"]
