"""The audit of a data set before training: can the label be told without looking at the content?"""
