# Kills what a dead host leaves. Input: a pipe that the host holds and never writes to, so that its end is the host's.
# Output: the table of what lives, one in each line as kill takes it, read from its beginning. $1: the pool's cgroup, or
# nothing.
trap '' HUP INT QUIT TERM TSTP TTIN TTOU USR1 USR2 ALRM PIPE
{ echo pool-guardian >/proc/self/comm; } 2>/dev/null
read -r _
# By number first: what has died may be reaped by now, and its number given to another.
while read -r target; do
    [ -n "$target" ] && kill -s KILL -- "$target"
done <&1
[ -n "$1" ] || exit 0
for slot in "$1"/slot-*; do
    echo 1 >"$slot/cgroup.kill"
done
# What was killed takes a moment to leave; a pool within the pool has directories of its own.
for _ in 1 2 3 4 5 6 7 8 9 10; do
    find "$1" -depth -type d -exec rmdir {} \;
    [ -d "$1" ] || exit 0
    sleep 0.1
done
