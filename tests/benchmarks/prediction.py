"""Figures of prediction."""
