#!/bin/sh
# $1 is "remove" for dpkg and 0 for rpm, unless the package is upgraded.
set -e
case ${1:-} in remove | 0) ;; *) exit 0 ;; esac
if [ -d /run/systemd/system ]; then
	systemctl disable --now sesame.service
fi
