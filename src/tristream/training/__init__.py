"""Training: one trainer, its augmentation and its named loss terms."""
