"""Export: a checkpoint becomes one ONNX file that the light runtime and a browser run without PyTorch.

spectral    the spectral mask with the DFT as matrix products
onnx        export_onnx: float32, and what the file says of itself
quantise    quantise: int8 where it costs no accuracy
parity      what the export changed, in logits and verdicts
checkpoint  export_checkpoint: all of it, on pictures of a manifest
"""
