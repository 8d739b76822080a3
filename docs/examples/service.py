"""A database server that runs beside the jobs that use it."""

import threading
from collections.abc import Iterator
from xmlrpc.client import ServerProxy
from xmlrpc.server import SimpleXMLRPCServer

import moil
from moil import File


# [service]
@moil.service(cores=1, memory="128 MiB")
def database(table: File) -> Iterator[str]:
    """Answers questions about a table of ``month,celsius``."""
    rows = dict(line.split(",") for line in table.path().read_text().splitlines())
    with SimpleXMLRPCServer(("127.0.0.1", 0), logRequests=False) as server:
        server.register_function(lambda month: rows[str(month)], "get")
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"  # up: its clients may run
        server.shutdown()  # the last client has settled
# [/service]


# [clients]
@moil.job(memory="64 MiB")
def celsius(address: str, month: str) -> float:
    """What the database says about a month."""
    return float(str(ServerProxy(address).get(month)))


@moil.job(memory="64 MiB")
def main(table: File, months: list[str]) -> list[float]:
    """Look MONTHS up in TABLE."""
    with database(table) as address:
        return [celsius(address, month) for month in months]
# [/clients]


if __name__ == "__main__":
    moil.main(main)
