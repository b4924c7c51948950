"""Says which of the words on standard input the memory of process PID holds, one a line: what a core file of it would
show. A word hex:… stands for those octets. It leaves no core file itself, so that this takes root.

    python3 memory_holds.py PID
"""
import re
import sys

pid = sys.argv[1]
words = sys.stdin.read().split()
forms = {word: [bytes.fromhex(word[4:])] if word.startswith('hex:') else [word.encode(), word.encode('utf-16le')]
         for word in words}
held = set()
with open(f'/proc/{pid}/maps') as maps, open(f'/proc/{pid}/mem', 'rb', buffering=0) as memory:
    for line in maps:
        begin, end, mode, name = re.match(r'(\w+)-(\w+) (\S+) \S+ \S+ \S+\s*(.*)', line).groups()
        size = int(end, 16) - int(begin, 16)
        if 'w' not in mode or size > 1 << 30:  # so much is only the shadow of a sanitizer
            continue
        try:
            memory.seek(int(begin, 16))
            content = memory.read(size)
        except OSError:
            continue  # a device's, or gone since
        held.update(word for word in words if any(form in content for form in forms[word]))
print('\n'.join(word for word in words if word in held))
