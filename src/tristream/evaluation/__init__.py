"""Evaluation: a detector on pictures, under conditions, with a record.

conditions   what happens to every picture before it is scored, and which streams score it
runner       the one evaluation runner: pictures x conditions -> a run folder
checkpoint   a checkpoint file on a manifest file
record       what is written of a run beside its numbers, and read again
run_folder   finished runs, read again
predictions  a table of scored pictures, and its columns as arrays
figures      every measure of scored pictures with its interval, or why there is none
paired       figures of pictures that were scored several times
summary      all figures of a run, per generator and per photo source
text         a summary as a table for people
comparison   two or more runs on the same pictures
reproduce    a recorded run scored again
suites       the protocols of the field as lists of test sets
ablation     every subset of the streams, masked at inference
attacked     what an attack achieves
calibrate    a checkpoint gets its thresholds
domain       a checkpoint gets its model of the pictures trained on
"""
