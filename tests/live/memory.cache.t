#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""memory.cache, to the page: a file read cold, warm, in small and large pieces; written; written back; dropped. The
truth: how many pages the file has, and mincore(2), which tells those in the cache."""

import collections
import ctypes
import tempfile

from memorytest import *

SCRATCH = "/dev/vm-scratch0"
SIZE = 4 * MIB

if os.geteuid() != 0:
    skip("needs root")
listed = run_sonda("check", "memory.cache", json_output=False).stdout
ASKS = bool(re.search(r"^ *loads +read_", listed, re.M))


@contextlib.contextmanager
def file_on_disk():
    """A file of SIZE bytes on a file system with a disk: the machine's, or one made on the guest's."""
    directory = "/var/tmp"
    if os.path.exists(SCRATCH):
        directory = tempfile.mkdtemp()
        subprocess.run(["mkfs.ext4", "-q", "-F", os.path.realpath(SCRATCH)], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["mount", "-t", "ext4", SCRATCH, directory], check=True)
    try:
        with tempfile.NamedTemporaryFile(dir=directory) as file:
            file.write(os.urandom(SIZE))
            file.flush()
            os.fsync(file.fileno())
            yield file
    finally:
        if directory != "/var/tmp":
            subprocess.run(["umount", directory], check=True)
            os.rmdir(directory)


libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]


def cached(fd):
    """How many bytes of the file are in the page cache now: others may drop what was read."""
    address = libc.mmap(None, SIZE, mmap.PROT_READ, mmap.MAP_SHARED, fd, 0)
    pages = (ctypes.c_ubyte * (SIZE // PAGE))()
    check_equal(libc.mincore(ctypes.c_void_p(address), ctypes.c_size_t(SIZE), pages), 0, "mincore")
    libc.munmap(ctypes.c_void_p(address), ctypes.c_size_t(SIZE))
    return sum(page & 1 for page in pages) * PAGE


def forget(fd):
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)


def read_all(fd, piece):
    for at in range(0, SIZE, piece):
        check_equal(len(os.pread(fd, piece, at)), piece, "a piece")


def check_ratio(row):
    """The share of what was asked that was not missed, and of the totals as of the interval; none where nothing was asked."""
    for end in "", "_delta":
        asked, missed, hit = (row[f"{name}{end}"] for name in ("asked_bytes", "missed_bytes", "hit_ratio"))
        want = max(0, asked - missed) / asked if asked else None
        check(hit == want or (want is not None and abs(hit - want) < 1e-9), f"hit_ratio{end} {hit} of {asked} with {missed} missed")


def counted(file, work):
    """What the table has of the file after `work`, by whomever: asked, added, dropped, dirtied, written back; and how many
    runs of its programs the kernel left out, as 7.x does, and sonda says."""
    os.fsync(file.fileno())
    end = f"{file.name}.end"  # another file's row says that all before has been counted
    with Sonda("top", "memory.cache", "--by", "path", "--interval", "20ms") as s:
        work()
        with open(end, "wb") as f:
            f.write(b"x")
        s.wait_row(lambda r: r["path"] == end and r["dirtied_bytes"] == PAGE)
    os.unlink(end)
    rows = [r for r in s.rows if r["path"] == file.name]
    check(s.stats["lost"] == s.stats.get("missed", 0), "nothing lost")
    bytes_of = rows[-1] if rows else collections.Counter()
    if rows:
        check_ratio(bytes_of)
    return *(bytes_of[f"{name}_bytes"] for name in ("asked", "added", "dropped", "dirtied", "written")), s.stats.get("missed", 0)


def check_read(got, missing, piece, what):
    """All was asked for and what was missing was added; others on the machine may have dropped some."""
    asked, added, dropped, dirtied, written, missed = got
    if missed:
        check((SIZE - missed * piece if ASKS else 0) <= asked <= SIZE and not dirtied, f"{what}: {got}")
        return
    check_equal((asked, added - dropped, dirtied, written), (SIZE if ASKS else 0, missing, 0, 0), f"{what} ({dropped} dropped)")


def case_reads(file):
    fd = os.open(file.name, os.O_RDONLY)
    for piece in (PAGE, 64 * 1024, MIB):
        forget(fd)
        for state in ("cold", "warm"):
            there = []
            got = counted(file, lambda: (there.append(cached(fd)), read_all(fd, piece)))
            check(state == "warm" or there == [0], f"cold: {there[0]} are cached")
            check_read(got, SIZE - there[0], piece, f"{state}, in pieces of {piece}")
    asked, *_, missed = counted(file, lambda: os.pread(fd, 10, SIZE - 5))
    check(missed or asked == (PAGE if ASKS else 0), f"the last page: {asked}")
    forget(fd)
    _, added, dropped, *_, missed = counted(file, lambda: (read_all(fd, MIB), forget(fd)))
    check(missed or dropped == added >= SIZE, f"what was added is dropped: {added}, {dropped}")
    os.close(fd)


def case_hits(file):
    """What a reader sees: nothing of a file read for the first time was there, half of it with the other half dropped, and
    then all; of what was written nothing had to be read."""
    reader = "import os, sys; fd = os.open(sys.argv[1], os.O_RDONLY); print(sum(len(os.pread(fd, 65536, at)) for at in range(0, int(sys.argv[2]), 65536)))"
    fd = os.open(file.name, os.O_RDWR)
    with Sonda("top", "memory.cache", "--by", "pid,path", "--interval", "20ms") as s:
        want = {}
        for drop in SIZE, SIZE // 2, 0:
            os.posix_fadvise(fd, 0, drop, os.POSIX_FADV_DONTNEED) if drop else None
            missing = SIZE - cached(fd)
            check(missing == drop, f"of {drop} bytes {missing} are dropped")
            child = subprocess.Popen([sys.executable, "-c", reader, file.name, str(SIZE)], stdout=subprocess.PIPE, text=True)
            check_equal(child.communicate()[0], f"{SIZE}\n", "all was read")
            want[child.pid] = missing
        writer = subprocess.Popen([sys.executable, "-c", "import sys; open(sys.argv[1], 'wb').write(bytes(int(sys.argv[2])))", f"{file.name}.new", str(SIZE)])
        check_equal(writer.wait(), 0, "the writer")
        s.wait_row(lambda r: r["pid"] == writer.pid and r["added_bytes"] == SIZE)
    os.unlink(f"{file.name}.new")
    os.close(fd)
    if s.stats.get("missed", 0):
        return
    rows = {r["pid"]: r for r in s.rows if r["path"] in (file.name, f"{file.name}.new")}
    others = sum(r["dropped_bytes"] for pid, r in rows.items() if pid != os.getpid())  # read once more
    for pid, missing in want.items():
        row = rows.get(pid, collections.Counter())
        check_equal(row["asked_bytes"], SIZE if ASKS else 0, "asked")
        check(missing <= row["missed_bytes"] <= missing + others, f"missed: {row['missed_bytes']}, not there were {missing}")
        check(others or row["hit_ratio"] == (1 - missing / SIZE if ASKS else None), f"{missing} missed: {row['hit_ratio']}")
    new = rows[writer.pid]
    check_equal((new["missed_bytes"], new["added_bytes"], new["hit_ratio"]), (0, SIZE, None), "what is written")


def case_writes(file):
    fd = os.open(file.name, os.O_RDWR)
    forget(fd)
    block = os.urandom(SIZE)
    *got, missed = counted(file, lambda: os.pwrite(fd, block, 0))
    check(missed or got[:4] == [0, SIZE, 0, SIZE], f"pages new for a write: {got}")
    os.fsync(fd)
    asked, added, dropped, dirtied, _, missed = counted(file, lambda: os.pwrite(fd, block[:PAGE], 0))
    check_equal((asked, added, dropped), (0, 0, 0), "a page that is there")
    check(missed or PAGE <= dirtied <= SIZE and dirtied % PAGE == 0, f"and what belongs together with it: {dirtied}")
    os.close(fd)


def synced(fd):
    check_equal(libc.syncfs(fd), 0, "syncfs")


def case_write_back(file):
    """What is written is written back once, when it is asked for: by who asks, and by a thread of the kernel."""
    fd, past = os.open(file.name, os.O_RDWR), os.open(file.name, os.O_RDWR | os.O_DIRECT)
    block = os.urandom(SIZE)
    for ask in os.fsync, os.fdatasync, synced:
        *_, dirtied, written, missed = counted(file, lambda: (os.pwrite(fd, block, 0), ask(fd)))
        check(missed or (dirtied, written) == (SIZE, SIZE), f"{ask.__name__}: {dirtied} dirtied, {written} written back")
    *_, written, missed = counted(file, lambda: (os.pwrite(fd, block[:PAGE], 0), os.fsync(fd), os.fsync(fd)))
    check(missed or PAGE <= written <= SIZE, f"once, with what belongs together: {written}")
    mapped = mmap.mmap(fd, SIZE)
    mapped[:PAGE] = block[:PAGE]
    *_, written, missed = counted(file, lambda: (mapped.write(block[:PAGE]), mapped.flush()))
    check(missed or PAGE <= written <= SIZE, f"by a mapping: {written}")
    *_, written, missed = counted(file, lambda: os.pwritev(past, [mmap.mmap(-1, SIZE)], 0))
    check_equal(written, 0, "a write past the cache is no write-back")
    with tempfile.NamedTemporaryFile(dir=os.path.dirname(file.name)) as other:
        to = os.open(other.name, os.O_RDWR | os.O_DIRECT)
        *_, written, missed = counted(file, lambda: os.pwritev(to, [mapped], 0))
        check_equal(written, 0, "nor one that takes its data from the file's pages")
    for f in fd, past, to:
        os.close(f)


def case_directory_renamed(folder):
    """What is below has another name from then on."""
    paths = [f"{folder}/{name}/sub/file" for name in ("before", "after")]
    os.makedirs(os.path.dirname(paths[0]))
    end = f"{folder}/end"
    with Sonda("top", "memory.cache", "--by", "path", "--interval", "20ms") as s, open(paths[0], "wb", buffering=0) as f:
        f.write(b"x")
        os.rename(f"{folder}/before", f"{folder}/after")
        os.pwrite(f.fileno(), b"x", MIB)
        with open(end, "wb") as e:
            e.write(b"x")
        s.wait_row(lambda r: r["path"] == end and r["dirtied_bytes"] == PAGE)
    rows = {r["path"]: r["dirtied_bytes"] for r in s.rows if r["path"] in paths}
    check_equal(rows, dict.fromkeys(paths, PAGE), "pages dirtied before and after")


with file_on_disk() as file:
    with tempfile.TemporaryDirectory(dir=os.path.dirname(file.name)) as folder:
        case_directory_renamed(folder)
    case_reads(file)
    case_hits(file)
    case_writes(file)
    case_write_back(file)
done()
