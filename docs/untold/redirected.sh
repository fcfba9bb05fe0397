#!/usr/bin/env bash
# Three hosts: the client dials api.users.example, and its router hands it to the interceptor.
#
#   scripts/three-hosts.sh docs/untold/redirected.sh         run where cert/ and bin/ are
set -euo pipefail
at() { nsenter --net="/run/netns/$1" "${@:2}"; }

# In place of a DNS server, for what runs here alone: the script's mounts are its own.
echo "198.51.100.2 api.users.example" >/run/hosts
mount --bind /run/hosts /etc/hosts

exec 3< <(at server bin/server 2>&1)
read -r started <&3
[[ $started == *listening* ]] || { echo "the server did not start: $started" >&2; exit 1; }
# Whom the client's machine trusts: to Go this variable says it.
unset https_proxy HTTPS_PROXY
export SSL_CERT_FILE=cert/ca.cert PYTHONUNBUFFERED=1 COLUMNS=250

attacked() { # CERTIFICATE: what the client says to it, and the verdict
  echo "$1:"
  exec 4< <(at attacker mitm-demo proxy --mode transparent --listen 192.0.2.1:50052 \
    --intercept api.users.example --allow-host 192.0.2.1 --allow-host 198.51.100.2 \
    --authority cert/ca.cert --authority-key cert/ca.key --cert "$1" --quiet 2>/dev/null)
  interceptor=$!
  read -r started <&4
  [[ $started == listening* ]] || { echo "the interceptor did not start: $started" >&2; exit 1; }
  at client bin/client -mode 7 2>&1 || echo "  exit code $?"
  kill -INT "$interceptor"
  cat <&4
}

attacked genuine     # the control
attacked wrong-host
attacked attacker-ca
