"""Says which of the words on standard input the memory of process PID holds, one a line: what a core file of it would
show. A word hex:… stands for those octets. It leaves no core file itself, so that this takes root. With --count it says
how often, too.

    python3 memory_holds.py [--count] PID
"""
import array
import itertools
import mmap
import re
import sys

count = sys.argv[1] == '--count'
pid = sys.argv[-1]
words = sys.stdin.read().split()
forms = {word: [bytes.fromhex(word[4:])] if word.startswith('hex:') else [word.encode(), word.encode('utf-16le')]
         for word in words}
held = dict.fromkeys(words, 0)


def in_use(begin, size):
    """The pages that hold anything, as (address, size): in memory or swapped."""
    pagemap.seek(begin // mmap.PAGESIZE * 8)
    pages = array.array('Q', pagemap.read(size // mmap.PAGESIZE * 8))
    for used, run in itertools.groupby(enumerate(pages), key=lambda page: page[1] >> 62 != 0):
        run = list(run)
        if used:
            yield begin + run[0][0] * mmap.PAGESIZE, len(run) * mmap.PAGESIZE


with open(f'/proc/{pid}/maps') as maps, open(f'/proc/{pid}/mem', 'rb', buffering=0) as memory, \
        open(f'/proc/{pid}/pagemap', 'rb') as pagemap:
    for line in maps:
        begin, end, mode, name = re.match(r'(\w+)-(\w+) (\S+) \S+ \S+ \S+\s*(.*)', line).groups()
        size = int(end, 16) - int(begin, 16)
        if 'w' not in mode or size > 1 << 30:  # so much is only the shadow of a sanitizer
            continue
        for address, length in in_use(int(begin, 16), size):
            try:
                memory.seek(address)
                content = memory.read(length)
            except OSError:
                continue  # a device's, or gone since
            for word in words:
                held[word] += sum(content.count(form) for form in forms[word])
print('\n'.join(f'{word} {held[word]}' if count else word for word in words if held[word]))
