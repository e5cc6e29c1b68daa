"""The multi-stream detector: streams, the spectral mask, MLAF fusion and the model that joins them."""
