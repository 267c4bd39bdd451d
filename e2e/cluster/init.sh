#!/bin/sh
# First process of a test cluster, in a mount and a PID namespace of its own: makes the network, lays folders of the state
# over those that Kubernetes writes to, says "ready", and ends with its stdin. Being the first, it reaps orphans.
# In here the state is /run/millrace, and the programs are in /run/programs.
set -eu
state=$1 programs=$2 name=$3 network=$4

# /proc is still the host's: this is the process id as the host sees it.
read -r pid rest </proc/self/stat

mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/millrace /run/programs /run/lock
mount --bind "$state" /run/millrace
mount --bind "$programs" /run/programs
mount --bind /run/millrace/lib /var/lib
mount --bind /run/millrace/var-log /var/log
mount --bind /run/millrace/tmp /tmp
mount -t proc proc /proc

# The host reaches node, pods and services through one interface; all of 10.x.0.0/16 is the cluster's.
ip netns add cluster
ip link add "$name" type veth peer name eth0 netns cluster
ip address add "$network.255.1/30" dev "$name"
ip link set "$name" up
ip route add "$network.0.0/16" via "$network.255.2" src "$network.255.1"

exec nsenter --net=/run/netns/cluster sh -ec '
    ip link set lo up
    ip address add "$1.255.2/30" dev eth0
    ip link set eth0 up
    ip route add default via "$1.255.1"
    echo 1 >/proc/sys/net/ipv4/ip_forward
    mount --make-rshared /
    echo "$2" >/run/millrace/pids/init
    echo ready
    cat >/dev/null || true
    exit 0
' init "$network" "$pid"
