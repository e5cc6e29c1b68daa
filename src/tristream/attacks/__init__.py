"""Attacks on the preprocessed pixels by somebody who knows the detector: crafted once, then scored as conditions.

budget    which attacks, at which budget
crafting  adversarial crops, by the Adversarial Robustness Toolbox
crafted   crops on disk in 8 bits, and the conditions that score them
run       the whole attack, resumable
checks    do the attacks deserve their name?
text      what it came to, for people
"""
