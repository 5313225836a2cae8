#!/bin/sh
# The accounts in /var/lib/sesame stay, and so does their owner, even after a purge: delete both yourself.
set -e
[ ! -d /run/systemd/system ] || systemctl daemon-reload
