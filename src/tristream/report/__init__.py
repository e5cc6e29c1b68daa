"""Reports: tables and plots from run records alone, in Markdown, LaTeX, CSV and one HTML page."""
