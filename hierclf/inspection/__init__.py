"""What deserves a look in labelled images before they are trained on."""
