#!/bin/sh
# Makes the secrets that docker-compose.yml mounts: one file each, in ./secrets (or the directory that is given).
# What is there already stays as it is. The credential of the Coaching API is yours to put in: api_token.
set -eu

directory=${1:-secrets}
mkdir -p "$directory"
chmod 700 "$directory"  # nobody else on this machine gets in; inside, a container of any user can read its file
cd "$directory"

drawn() { head -c 24 /dev/urandom | od -An -vtx1 | tr -d ' \n'; }

make() {  # NAME VALUE
  [ -e "$1" ] && return 0
  printf '%s' "$2" > "$1"
  chmod 444 "$1"
  echo "made $directory/$1"
}

make postgres_password "$(drawn)"
make valkey_password "$(drawn)"
make grafana_password "$(drawn)"
make webhook_key "$(drawn)"
make api_token "sandbox-token"
make database_url "postgresql://coachsync:$(cat postgres_password)@postgres:5432/coachsync"
make broker_url "redis://:$(cat valkey_password)@valkey:6379/0"
