"""Weight files of every library, in and out, under timm's names inside."""
