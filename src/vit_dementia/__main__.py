"""``python -m vit_dementia`` is the command ``vit-dementia``."""

from vit_dementia.cli.app import main

main()
