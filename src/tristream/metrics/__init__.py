"""Metrics: arrays in, floats out, no torch.

binary       AUROC, AP, EER, accuracy and their kin
resampled    the same for many resamples at once
uncertainty  bootstrap intervals over groups
comparison   DeLong's test, Holm's correction, the spread over seeds
calibration  Platt scaling at even odds, thresholds with a stated error rate
reserved     what a verdict means where few or many pictures are fake
answers      what a score alone says at two thresholds
selective    risk and coverage of a detector that may abstain
shapley      what each stream brings
domain       how far a picture lies from those trained on
"""
