"""``python -m unpool`` is ``unpool``."""

from unpool.cli.main import main

main()
