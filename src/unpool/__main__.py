"""``python -m unpool`` is ``unpool``."""

from unpool.cli import main

main()
