"""Memory that counts: pages that were only reserved use none."""

import mmap

MAX_MEGABYTES = 65536


def touched(megabytes: int) -> bytearray:
    """Return that much memory, with every page written to."""
    memory = bytearray(max(0, min(megabytes, MAX_MEGABYTES)) * 1024 * 1024)
    memory[:: mmap.PAGESIZE] = b"x" * len(range(0, len(memory), mmap.PAGESIZE))
    return memory
