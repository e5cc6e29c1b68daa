"""Training: one trainer, any detector, named loss terms.

config          everything that decides what a run does
trainer         the run: epochs, selection, checkpoints
augment         both classes go through the same random steps
objectives      the loss terms that a config lists
optim           optimiser and learning-rate schedule
averaging       the averaged (EMA) weights
starting_point  what a run starts from
departures      where a config departs from the paper whose name its detector carries
frozen          embeddings by the frozen part of a detector, computed once
teacher         whom the distillation objective learns from
run_directory   what is kept of a run
state           the state from which a killed run goes on
"""
