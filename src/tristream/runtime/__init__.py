"""Scoring pictures: what a detector's logit means, and the Python API behind `predict`.

sources        arguments of the command line -> what is to be scored
predictor      Predictor: decode, preprocess, score, decide -> Prediction
verdict        a logit and two thresholds -> a verdict and its reasons
stability      the same picture re-encoded: does its verdict hold?
clips          a video: which frames, and what their scores come to
timeline       the scores of its frames as a picture
records        predictions as a table, JSON and CSV
session        the seam under which an inference engine fits
light_session  OpenVINO, for what `tristream export` wrote
torch_session  PyTorch, for checkpoints
engines        which engine opens which file
onnx_file      what an exported file says of itself
info           the facts behind `tristream info`
doctor         the self-test behind `tristream doctor`
"""
