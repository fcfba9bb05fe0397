"""What processes have used, from /proc (proc(5)); only Linux has it."""

from pathlib import Path

_PROC = Path("/proc")
_MIB = 1024


def available() -> bool:
    """Whether this system tells."""
    return (_PROC / "self" / "schedstat").exists()


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and its children, in user and kernel mode."""
    return sum(map(_cpu_seconds, _family(pid)))


def peak_mib(pid: int) -> float:
    """The most memory that a process and its children have had resident (VmHWM), in MiB."""
    return sum(_status(member, "VmHWM") for member in _family(pid)) / _MIB


def resident_mib(pid: int) -> float:
    """The memory that a process and its children have resident now (VmRSS), in MiB."""
    return sum(_status(member, "VmRSS") for member in _family(pid)) / _MIB


def threads(pid: int) -> int:
    """How many threads a process has; 0 if it has ended."""
    return _status(pid, "Threads")


def files(pid: int) -> int:
    """How many file descriptors a process has open; 0 if it has ended."""
    try:
        return sum(1 for _ in (_PROC / str(pid) / "fd").iterdir())
    except OSError:
        return 0


def _family(pid: int) -> list[int]:
    children = _read(_PROC / str(pid) / "task" / str(pid) / "children").split()
    return [pid, *(member for child in children for member in _family(int(child)))]


def _cpu_seconds(pid: int) -> float:
    # Nanoseconds on the CPU; the process's own `stat` counts in hundredths of a second.
    tasks = _PROC / str(pid) / "task"
    try:
        threads = [_read(thread / "schedstat") for thread in tasks.iterdir()]
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(times.split()[0]) for times in threads if times) / 1e9


def _status(pid: int, wanted: str) -> int:
    for line in _read(_PROC / str(pid) / "status").splitlines():
        name, _, value = line.partition(":")
        if name == wanted:
            return int(value.split()[0])
    return 0


def _read(path: Path) -> str:
    """A file of /proc; "" if its process or thread has ended since it was listed, as any may."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
