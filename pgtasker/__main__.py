"""`python -m pgtasker`: the command line, where the script is not on the PATH."""

from pgtasker.cli import main

main(prog_name="pgtasker")
