"""Figures of scale."""
