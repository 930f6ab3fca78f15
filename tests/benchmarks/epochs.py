"""Figures of epochs."""
