"""Files and directories as values."""

import gzip
import shutil
from pathlib import Path

import moil
from moil import File


# [file]
@moil.job(memory="64 MiB")
def squeeze(table: File) -> File:
    """A file made of a file."""
    target = moil.current().scratch / f"{table.name}.gz"
    with table.open() as source, gzip.open(target, "wb") as squeezed:
        shutil.copyfileobj(source, squeezed)
    return File.save(target)
# [/file]


# [directory]
@moil.job(memory="64 MiB")
def collect(files: list[File]) -> File:
    """A directory that holds some files."""
    folder = moil.current().scratch / "squeezed"
    folder.mkdir()
    for file in files:
        shutil.copyfile(file.path(), folder / file.name)
    return File.save(folder)
# [/directory]


# [export]
@moil.job(memory="64 MiB")
def publish(folder: File, to: Path) -> str:
    """Copy the directory to where people look for it."""
    folder.export(to)
    return f"{len(list(to.iterdir()))} files in {to.name}"
# [/export]


@moil.job(memory="64 MiB")
def main(tables: list[File], *, to: Path) -> str:
    """Squeeze TABLES into the directory --to."""
    return publish(collect([squeeze(table) for table in tables]), to)


if __name__ == "__main__":
    moil.main(main)
