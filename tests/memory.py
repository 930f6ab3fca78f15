"""How much memory a process has taken, for programs that tests start."""

# Not `ru_maxrss`: a new process inherits that one's peak from the process that started it.
PEAK_MEMORY = """
def peak_memory():
    lines = open("/proc/self/status").read().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
"""
