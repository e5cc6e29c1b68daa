"""Data sets as manifests: one table per data set.

manifest  the table: a row per picture
readers/  the layouts of the field, one file each -> a manifest
indexing  the files of a listing, read many at once, resumable
files     what a manifest records of a file; which paths are refused
splits    split by group and by hash
sample    a balanced part of a manifest
dataset   what a trainer iterates over
verify    are the files still those of the manifest?
equalise  both classes get alike files
audit/    can the label be told without looking at the content?
frames    pictures of videos
fetching  which files of a data set to download; hub and download fetch them, unpack opens archives
"""
