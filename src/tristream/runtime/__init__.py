"""Scoring pictures: what a detector's logit means, and the Python API behind `predict`.

sources    arguments of the command line -> what is to be scored
predictor  Predictor: decode, preprocess, score, decide -> Prediction
verdict    a logit and two thresholds -> a verdict and its reasons
session    the seam under which an inference engine fits
engines    which engine opens which checkpoint
"""
