#!/bin/sh
# What examples/variants does, as one would type it: all reads at once, in one directory, without Moil.
#   variants_by_hand.sh REFERENCE.fa.gz READS_1.fq.gz READS_2.fq.gz SAMPLE OUTPUT.vcf
set -eu
reference=$1 reads_1=$2 reads_2=$3 sample=$4 output=$5

gunzip -c "$reference" > genome.fa
samtools faidx genome.fa
bowtie2-build --quiet genome.fa genome
bowtie2 --rg-id "$sample" --rg "SM:$sample" -x genome -1 "$reads_1" -2 "$reads_2" -S all.sam
samtools sort -o all.bam all.sam
bcftools mpileup -f genome.fa -Ob -o likelihoods.bcf all.bam
bcftools call -mv --ploidy 1 -Ov -o "$output" likelihoods.bcf
