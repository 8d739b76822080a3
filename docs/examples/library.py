"""A workflow run from a program."""

# [library]
import moil
from moil import File

from words import main

if __name__ == "__main__":
    try:
        words = moil.run(main, [File("docs/examples/texts/emma.txt")], retries=0, progress=False)
        print(words, "words")
        moil.run(main, [File("docs/examples/texts")], retries=0, progress=False, job_store="broken-run")
    except moil.MoilError as error:
        print("no words:", error)
# [/library]
