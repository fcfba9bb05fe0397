#!/usr/bin/env bash
# Client, attacker and server as three hosts on one Linux machine, to see --mode transparent at work.
#
#   scripts/three-hosts.sh                     the demonstration: control, compromised, aborted
#   scripts/three-hosts.sh bash                a shell among the three hosts, to try things by hand
#   REDIRECT=tproxy scripts/three-hosts.sh     with TPROXY; nft, iptables: with REDIRECT, by either
#   FAMILY=6 scripts/three-hosts.sh            over IPv6
#
#   client 192.0.2.2 ──── 192.0.2.1 attacker 198.51.100.1 ──── 198.51.100.2 server
#
# The attacker is the client's router. It forwards everything, but redirects port 50051 to itself.
#
# All of it is in namespaces of the kernel (network, mounts, processes) that belong to this script
# alone. So the machine's own network is not touched, two runs cannot meet, and when the script ends,
# however it ends, the kernel removes the hosts with all that runs on them.
set -euo pipefail

PATH=$PATH:/usr/sbin:/sbin
command -v nft >/dev/null && usual=nft || usual=iptables
export REDIRECT=${REDIRECT:-$usual} FAMILY=${FAMILY:-4}

fail() { echo "three-hosts: $1" >&2; exit 2; }

if [ "${1:-}" != --inside ]; then
  [[ $REDIRECT =~ ^(nft|iptables|tproxy)$ ]] || fail "REDIRECT is nft, iptables or tproxy"
  [[ $FAMILY =~ ^[46]$ ]] || fail "FAMILY is 4 or 6"
  for tool in ip unshare nsenter "${REDIRECT/tproxy/nft}"; do
    command -v "$tool" >/dev/null ||
      fail "$tool is missing (Debian: apt install iproute2 nftables iptables util-linux)"
  done
  own=(--net --mount --pid --fork --kill-child --mount-proc)
  # Whoever is not root is root in a user namespace, where the system allows that.
  [ "$(id -u)" = 0 ] || own=(--user --map-root-user "${own[@]}")
  unshare "${own[@]}" true 2>/dev/null ||
    fail "no right to make network namespaces: run it as root, in a container with --privileged"
  exec unshare "${own[@]}" "$0" --inside "$@"
fi
shift

here=$(cd "$(dirname "$0")/.." && pwd)
[ -x "$here/.venv/bin/mitm-demo" ] && PATH=$here/.venv/bin:$PATH
trap 'exit 130' INT TERM
at() { nsenter --net="/run/netns/$1" "${@:2}"; }

# The hosts, and the wires between them. Addresses are those set aside for documentation (RFC 5737,
# RFC 3849).
mount -t tmpfs tmpfs /run
for host in client attacker server; do
  ip netns add "$host"
  ip -netns "$host" link set lo up
done
wire() { # HOST INTERFACE IPV4 IPV6, and the same of the other end
  ip -netns "$1" link add "$2" type veth peer name "$6" netns "$5"
  for end in "${*:1:4}" "${*:5:4}"; do
    read -r host interface v4 v6 <<<"$end"
    ip -netns "$host" address add "$v4/24" dev "$interface"
    ip -netns "$host" address add "$v6/64" dev "$interface" nodad
    ip -netns "$host" link set "$interface" up
  done
}
wire client eth0 192.0.2.2 2001:db8:1::2 attacker clients 192.0.2.1 2001:db8:1::1
wire attacker servers 198.51.100.1 2001:db8:2::1 server eth0 198.51.100.2 2001:db8:2::2
ip -netns client route add default via 192.0.2.1
ip -netns client route add default via 2001:db8:1::1
ip -netns server route add default via 198.51.100.1
ip -netns server route add default via 2001:db8:2::1
at attacker sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'

if [ "$FAMILY" = 6 ]; then
  export ATTACKER=2001:db8:1::1 SERVER=2001:db8:2::2
  in_url() { echo "[$1]:$2"; }
else
  export ATTACKER=192.0.2.1 SERVER=198.51.100.2
  in_url() { echo "$1:$2"; }
fi

redirect() {
  case $REDIRECT in
    nft)
      at attacker nft -f - <<'RULES'
table inet lab {
  chain prerouting {
    type nat hook prerouting priority dstnat
    iifname "clients" tcp dport 50051 redirect to :50052
  }
}
RULES
      ;;
    iptables)
      for iptables in iptables ip6tables; do
        at attacker $iptables -t nat -A PREROUTING -i clients -p tcp --dport 50051 \
          -j REDIRECT --to-ports 50052
      done
      ;;
    tproxy)
      at attacker nft -f - <<'RULES'
table inet lab {
  chain prerouting {
    type filter hook prerouting priority mangle
    iifname "clients" tcp dport 50051 meta nfproto ipv4 tproxy ip to 192.0.2.1:50052 meta mark set 1 accept
    iifname "clients" tcp dport 50051 meta nfproto ipv6 tproxy ip6 to [2001:db8:1::1]:50052 meta mark set 1 accept
  }
}
RULES
      # What is marked is for this host, whatever its address.
      for family in -4 -6; do
        ip -netns attacker $family rule add fwmark 1 lookup 100
        ip -netns attacker $family route add local default dev lo table 100
      done
      ;;
  esac
}

if [ $# -gt 0 ]; then
  redirect
  export PS1='three-hosts$ '
  echo "on a host: nsenter --net=/run/netns/client COMMAND (or attacker, server)"
  "$@"
  exit
fi

# The demonstration.
lab=/run/lab # in memory, and gone with the rest
mitm-demo certs --name "$SERVER" $lab >/dev/null
exec 3< <(at server mitm-demo serve --listen "$(in_url "$SERVER" 50051)" --allow-host "$SERVER" \
  --cert $lab/server.pem --key $lab/server.key 2>&1)
read -r started <&3
[[ $started == *listening* ]] || fail "the server did not start: $started"

call() { # NAME POLICY…: what the client says, and how it ends
  echo "$1:"
  at client mitm-demo call --target "$(in_url "$SERVER" 50051)" --allow-host "$SERVER" \
    --token a-secret-token-of-the-lab "${@:2}" && code=0 || code=$?
  echo "  exit code $code"
}

echo "The client dials $(in_url "$SERVER" 50051), the server's own address."
call "control, with no interceptor (ca-file)" --policy ca-file --ca $lab/ca.pem

redirect
export PYTHONUNBUFFERED=1 COLUMNS=250
exec 4< <(at attacker mitm-demo proxy --mode transparent --listen "$(in_url "$ATTACKER" 50052)" \
  --intercept "$SERVER" --allow-host "$ATTACKER" --allow-host "$SERVER" 2>&1)
interceptor=$!
read -r started <&4
[[ $started == listening* ]] || fail "the interceptor did not start: $started"

call "a client that trusts any issuer (skip-verify)" --policy skip-verify
call "a client that verifies (ca-file)" --policy ca-file --ca $lab/ca.pem

kill -INT "$interceptor"
echo "What the interceptor saw:"
cat <&4
