"""The cells of a notebook. Try them in Jupyter, or in Python's prompt."""

# [cells]
import moil


@moil.job
def square(number: int) -> int:
    return number * number


@moil.job
def total(numbers: list[int]) -> int:
    return sum(numbers)


@moil.job
def squares(upto: int) -> int:
    return total([square(number) for number in range(upto)])


print(moil.run(squares, 5, progress=False))
# [/cells]
