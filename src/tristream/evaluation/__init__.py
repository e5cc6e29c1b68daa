"""Evaluation: the conditions that a detector is scored under, the runner that scores it, and the summary of it."""
