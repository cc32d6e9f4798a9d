"""Prints a given number of bytes as fast as they are taken: more than anyone wants to keep."""

import sys

LINE = b"0123456789abcdef" * 7 + b"0123456789abcde\n"  # 128 bytes

total = int(sys.argv[1])
lines, rest = divmod(total, len(LINE))
out = sys.stdout.buffer
for _ in range(lines):
    out.write(LINE)
out.write(LINE[:rest])
out.flush()
