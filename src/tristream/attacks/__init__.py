"""Attacks on the preprocessed pixels by somebody who knows the detector: crafted once, then scored as conditions."""
