"""Import a file from a URL."""

import moil
from moil import File


# [import]
@moil.job(memory="64 MiB")
def words(url: str) -> int:
    """Count the words of what a URL names."""
    return len(File.from_url(url).path().read_text().split())
# [/import]


if __name__ == "__main__":
    moil.main(words)
