"""Call the variants of a genome from paired reads, with bowtie2, samtools and bcftools as a job each.

    python main.py REFERENCE.fa.gz READS_1.fq.gz READS_2.fq.gz --sample NAME --output VARIANTS.vcf

The README beside this directory says where to find the programs, and reads to try them on.
"""

from __future__ import annotations

import gzip
import io
import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import moil
from moil import File

from tools import run

LINES_PER_READ = 4


@moil.job(cores=1, memory="512 MiB", disk="256 MiB")
def index(reference: File) -> File:
    """A directory that holds the genome as plain FASTA, and beside it the indexes that the programs look for."""
    genome = Path("genome")
    genome.mkdir(exist_ok=True)
    with unpacked(reference) as source, (genome / "genome.fa").open("wb") as target:
        shutil.copyfileobj(source, target)
    run("samtools", "faidx", genome / "genome.fa")
    run("bowtie2-build", "--quiet", genome / "genome.fa", genome / "genome")
    return File.save(genome)


@moil.job(cores=1, memory="256 MiB", disk="1 GiB")
def split(reads_1: File, reads_2: File, pairs: int) -> list[tuple[File, File]]:
    """Cut the reads into chunks of so many pairs; how many chunks there will be, nobody knows before."""
    with unpacked(reads_1) as first, unpacked(reads_2) as second:
        return list(zip(cut(first, pairs, "_1.fq"), cut(second, pairs, "_2.fq"), strict=True))


@moil.job
def align_all(genome: File, chunks: list[tuple[File, File]], sample: str) -> list[File]:
    """A job for each chunk."""
    return [align(genome, first, second, sample) for first, second in chunks]


@moil.job(cores=1, memory="512 MiB", disk="512 MiB", retries=1)
def align(genome: File, first: File, second: File, sample: str) -> File:
    """Align a chunk of pairs and sort the alignments by place."""
    raw, ordered = Path(first.name).with_suffix(".sam"), Path(first.name).with_suffix(".bam")
    group = ("--rg-id", sample, "--rg", f"SM:{sample}")
    run("bowtie2", *group, "-x", genome.path() / "genome", "-1", first.path(), "-2", second.path(), "-S", raw)
    run("samtools", "sort", "-m", "128M", "-o", ordered, raw)
    return File.save(ordered)


@moil.job(cores=1, memory="512 MiB", disk="1 GiB")
def merge(parts: list[File]) -> File:
    """One sorted file of all alignments."""
    merged = Path("merged.bam")
    run("samtools", "merge", "-f", "-c", "-o", merged, *(part.path() for part in parts))
    return File.save(merged)


@moil.job(cores=1, memory="512 MiB", disk="1 GiB")
def call(genome: File, alignments: File) -> File:
    """The places where the sample differs from the genome. A phage is haploid."""
    likelihoods, variants = Path("likelihoods.bcf"), Path("variants.vcf")
    run("bcftools", "mpileup", "-f", genome.path() / "genome.fa", "-Ob", "-o", likelihoods, alignments.path())
    run("bcftools", "call", "-mv", "--ploidy", "1", "-Ov", "-o", variants, likelihoods)
    return File.save(variants)


@moil.job
def main(reference: File, reads_1: File, reads_2: File, sample: str = "sample", pairs_per_chunk: int = 1000) -> File:
    """Align paired reads to a reference, in chunks, and call variants: variants.vcf."""
    genome = index(reference)
    chunks = split(reads_1, reads_2, pairs_per_chunk)
    return call(genome, merge(align_all(genome, chunks, sample)))


def cut(reads: BinaryIO, size: int, suffix: str) -> Iterator[File]:
    """Cut a FASTQ file into files of so many reads, in order."""
    number = 0
    while lines := list(islice(reads, size * LINES_PER_READ)):
        path = Path(f"chunk-{number:05}{suffix}")
        path.write_bytes(b"".join(lines))
        yield File.save(path)
        number += 1


def unpacked(file: File) -> BinaryIO:
    """The bytes of a file, unzipped if its name says that it is zipped."""
    if file.name.endswith(".gz"):
        return io.BufferedReader(gzip.open(file.path()))
    return file.path().open("rb")


if __name__ == "__main__":
    moil.main(main)
