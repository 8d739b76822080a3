"""A service that needs another service, and clients of both."""

from collections.abc import Iterator

import moil


@moil.service
def storage(name: str) -> Iterator[str]:
    print("storage up")
    yield f"storage of {name}"
    print("storage down")


@moil.service
def frontend(back: str) -> Iterator[str]:
    print("front end up")
    yield f"front end to {back}"
    print("front end down")


@moil.job
def ask(service: str) -> str:
    print("client")
    return f"asked the {service}"


# [nested]
@moil.job
def main(name: str = "samples") -> str:
    with storage(name) as back, frontend(back) as front:
        return ask(front)
# [/nested]


if __name__ == "__main__":
    moil.main(main)
