"""A model that takes long to load, and not long to ask: what `warm_python.rs` calls."""

import collections
import time

import pool_worker

# Once, before the first call.
time.sleep(0.5)
words = collections.Counter()
least = (pool_worker.config or {}).get("least", 1)


def learn(text):
    """How many words it knows now."""
    words.update(text.lower().split())
    return len(words)


def known(word):
    return words[word] >= least


def spell(text):
    """Each word as a part of the result."""
    for number, word in enumerate(text.split()):
        pool_worker.progress(number)
        yield word.upper()
