import moil
from moil import File


@moil.job(cores=1, memory="256 MiB")
def count(text: File) -> int:
    return len(text.path().read_text().split())


@moil.job
def add(counts: list[int]) -> int:
    return sum(counts)


@moil.job
def main(texts: list[File]) -> int:
    """Count the words of TEXTS, in a job for each."""
    return add([count(text) for text in texts])  # children; promises; no waiting


if __name__ == "__main__":
    moil.main(main)
