"""Zero-shot classification: heads made of class names by a CLIP model, thresholds as ever."""
