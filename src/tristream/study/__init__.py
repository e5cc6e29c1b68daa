"""Studies: many training runs, evaluated alike, and what they say together."""
