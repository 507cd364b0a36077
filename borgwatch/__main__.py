"""`python -m borgwatch` is `borgwatch`."""

from borgwatch.cli import main

main()
