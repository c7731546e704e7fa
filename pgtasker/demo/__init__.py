"""`pgtasker demo`: a real workflow on real files, watched while it runs.

`workflow` is the example itself, `watch` draws its progress, `show` prepares everything, runs it
and prints the report.
"""
