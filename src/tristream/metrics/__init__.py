"""Metrics: arrays in, floats out, no torch; see `binary`, `calibration`, `uncertainty` and `resampled`."""
