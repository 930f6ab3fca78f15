"""New classes for a trained model with a frozen backbone, without a search."""
