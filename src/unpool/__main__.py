"""The program of ``python -m unpool``, which is ``unpool``."""

from unpool.cli.main import main

main()
