"""`python -m picante`."""

from picante.cli import main

main()
