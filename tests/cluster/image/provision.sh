#!/bin/sh
# Runs in the new root file system while the image is made: the user, and what Slurm's packages leave to the administrator.
set -eu
useradd --create-home --uid 1000 --shell /bin/bash moil
install -d -o slurm -g slurm /var/lib/slurm/controller /var/log/slurm
install -d /var/lib/slurm/worker
rm -f /etc/munge/munge.key
