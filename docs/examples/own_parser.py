"""A workflow behind an argparse parser of its own."""

import argparse

import moil
from moil import File

from words import main

# [parser]
if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Count words.")
    parser.add_argument("text", nargs="+")
    parser.add_argument("--thousands", action="store_true", help="count in thousands")
    moil.add_options(parser)
    args = parser.parse_args()

    words = moil.run(main, [File(text) for text in args.text], options=args)
    print(words / 1000 if args.thousands else words)
# [/parser]
