"""What to do with novel images: groups of them, proposed as new sub-classes."""
