"""A program that is installed: ``pip install .``, and then ``harvest``."""
