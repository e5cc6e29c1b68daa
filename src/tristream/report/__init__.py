"""Reports: tables and plots from run records alone.

runs         run folders -> detectors on the same pictures
scores       anybody's scores become a run folder
table        a table before it has a format
contents     the tables that every evaluation has
ablation     the tables of ablations
attacks      the table of attacks
suites       the tables of suites
differences  paired differences with corrected p-values
reported     figures that papers report, set apart
formats      Markdown, LaTeX, CSV
charts       SVG by hand; plots draws with it
page         the HTML page
report       all of it, written
"""
