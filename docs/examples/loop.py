"""A loop whose length nobody knows beforehand."""

import moil


# [loop]
@moil.job(memory="64 MiB")
def improve(guess: float, square: float) -> float:
    """A better guess at the root."""
    return (guess + square / guess) / 2


@moil.job(memory="64 MiB")
def refine(guess: float, square: float, rounds: int = 0) -> tuple[float, int]:
    """Improve the guess until it is good; count the rounds."""
    if abs(guess * guess - square) < 1e-6:
        return guess, rounds
    return refine(improve(guess, square), square, rounds + 1)
# [/loop]


@moil.job(memory="64 MiB")
def main(square: float = 2.0) -> tuple[float, int]:
    """The square root, and the number of rounds it took."""
    return refine(square, square)


if __name__ == "__main__":
    moil.main(main)
