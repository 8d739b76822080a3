"""In a src layout: importable only because it is installed, with ``pip install -e``."""
