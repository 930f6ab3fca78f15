"""Figures of input_path."""
