#!/bin/sh
# The service is not started by itself: it needs its public address first.
set -e
install -d -m 0700 -o sesame -g sesame /var/lib/sesame
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	systemctl try-restart sesame.service # after an upgrade
fi
