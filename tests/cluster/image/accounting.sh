#!/bin/bash
# The accounting daemon and its database, in the controller's container.
set -eu
install -d -o mysql -g mysql /run/mysqld
[ -d /var/lib/mysql/mysql ] || mysql_install_db --user=mysql >/dev/null 2>&1
setsid mariadbd --user=mysql --innodb-flush-log-at-trx-commit=2 --innodb-buffer-pool-size=64M --skip-networking \
    >/var/log/slurm/mariadbd.log 2>&1 </dev/null &
for _ in $(seq 300); do mysqladmin ping >/dev/null 2>&1 && break; sleep 0.1; done
mysql -e "create database if not exists slurm_acct_db; create user if not exists slurm@localhost identified via unix_socket;
    grant all on slurm_acct_db.* to slurm@localhost;"
slurmdbd
for _ in $(seq 300); do (echo >/dev/tcp/127.0.0.1/6819) 2>/dev/null && break; sleep 0.1; done
sacctmgr --immediate add cluster moil >/dev/null 2>&1 || true
