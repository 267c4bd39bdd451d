#!/bin/sh
# Holds the namespaces that a test cluster lives in, and removes all of it: started under `flock`, with a pipe as stdin.
# When the pipe ends, and it does however its owner ends, the first process of the PID namespace ends. Then the kernel
# kills every process of the cluster, and drops its mounts, interfaces and rules: nothing has to be found to be undone.
#
# $1 folder of the cluster's state   $2 folder of programs   $3 name: cgroup and host interface   $4 network: "10.240"
# $5 "keep": leaves the folder, for who wants to read logs
set -eu
trap '' HUP INT TERM
state=$1 programs=$2 name=$3 network=$4 keep=${5:-}
here=$(dirname "$0")

each_hierarchy() {
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
        echo /sys/fs/cgroup
    else
        ls -d /sys/fs/cgroup/*/
    fi
}

# The kernel takes its time with the interfaces of a network that has ended.
remove_interface() {
    ip link delete "$name" 2>/dev/null || true
}

remove() {
    remove_interface
    for hierarchy in $(each_hierarchy); do
        [ ! -d "${hierarchy%/}/$name" ] || find "${hierarchy%/}/$name" -depth -type d -exec rmdir {} + || true
    done
    if [ "$keep" = keep ]; then
        rm -rf "$state/cache" "$state/images" "$state/lib" "$state/pids" "$state/pki" "$state/tmp"
    else
        rm -rf "$state"
    fi
}

# A predecessor whose guard was killed as well has left folders and cgroups, nothing that runs.
for folder in audit cache conf images lib logs pids pki tmp var-log; do
    rm -rf "${state:?}/$folder"
    mkdir -p "$state/$folder"
done
touch "$state/.millrace-cluster"
remove_interface
for hierarchy in $(each_hierarchy); do
    mkdir -p "${hierarchy%/}/$name"
done
for file in cpuset.mems cpuset.cpus; do
    [ ! -e "/sys/fs/cgroup/cpuset/$file" ] || cat "/sys/fs/cgroup/cpuset/$file" >"/sys/fs/cgroup/cpuset/$name/$file"
done

unshare --mount --propagation private --pid --fork --kill-child \
    sh "$here/init.sh" "$state" "$programs" "$name" "$network" || echo "the cluster's first process failed" >&2
remove
