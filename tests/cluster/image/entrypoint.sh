#!/bin/bash
# A host of the cluster: its configuration and munge, and then nothing. Slurm's daemons are started from outside, so that
# they can be stopped without the host.
set -eu
install -o munge -g munge -m 0400 /etc/cluster/munge.key /etc/munge/munge.key
install -d -o munge -g munge -m 0755 /run/munge /var/log/munge /var/lib/munge
cp /etc/cluster/slurm.conf /etc/cluster/cgroup.conf /etc/cluster/gres.conf /etc/slurm/
[ ! -e /etc/cluster/slurmdbd.conf ] || install -o slurm -g slurm -m 0600 /etc/cluster/slurmdbd.conf /etc/slurm/
runuser -u munge -- /usr/sbin/munged
exec sleep infinity
