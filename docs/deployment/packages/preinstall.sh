#!/bin/sh
set -e
getent group sesame >/dev/null || groupadd --system sesame
getent passwd sesame >/dev/null ||
	useradd --system --gid sesame --home-dir /var/lib/sesame --no-create-home --shell /usr/sbin/nologin --comment 'Sesame login server' sesame
