#!/bin/sh
# The first process of the kernel that `cargo xtask uml` starts: prepares what the tests need, runs them, and turns it
# off. The file system is the host's.
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t cgroup2 none /sys/fs/cgroup
echo "+memory +pids" >/sys/fs/cgroup/cgroup.subtree_control
mount -t tmpfs tmp /run
mkdir /run/tmp
export TMPDIR=/run/tmp HOME=/run PATH=/usr/sbin:/usr/bin:/sbin:/bin
# Not by this shell itself: the children of a first process are a case of their own.
sh -c '@COMMAND@' >@LOG@ 2>&1
echo "exit code $?" >>@LOG@
sync
echo o >/proc/sysrq-trigger
sleep 60
