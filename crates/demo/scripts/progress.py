"""Does some work in steps and says how far it is, as long jobs do."""

import time

STEPS = 20

for step in range(1, STEPS + 1):
    time.sleep(0.06)
    print(f"step {step} of {STEPS}: {step * 100 // STEPS} %")
print("all steps done")
