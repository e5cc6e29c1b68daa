"""How fast is it here? Every engine on the same pictures, in turns.

run               times the engines, round by round
contenders        the engines by name; torch_contenders are those on PyTorch
report            the record of a run, and its table
"""
