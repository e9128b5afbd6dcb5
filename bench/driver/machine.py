"""The machine: what it is, and whether others are using it."""

import os
import platform
import resource

# More than that of a processor, on average, and medians are no longer to be trusted.
BUSY_PROCESSORS = 0.1
BUSY_STOLEN = 0.02


def first_line(path, default=""):
    try:
        with open(path, encoding="utf-8") as file:
            return file.readline().strip()
    except OSError:
        return default


def cpu_field(name):
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            key, _, value = line.partition(":")
            if key.strip() == name:
                return value.strip()
    return ""


def memory_bytes():
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def distribution():
    with open("/etc/os-release", encoding="utf-8") as file:
        fields = dict(line.rstrip().split("=", 1) for line in file if "=" in line)
    return fields.get("PRETTY_NAME", "").strip('"')


def description():
    virtual = "hypervisor" in cpu_field("flags").split()
    governor = first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
                          "none to see, a virtual machine" if virtual else "none to see")
    return {
        "processor": cpu_field("model name") or platform.processor() or platform.machine(),
        "processors": len(os.sched_getaffinity(0)),
        "virtual": virtual,
        "governor": governor,
        "memory_bytes": memory_bytes(),
        "kernel": platform.release(),
        "system": distribution() if os.path.exists("/etc/os-release") else platform.system(),
        "huge_pages": first_line("/sys/kernel/mm/transparent_hugepage/enabled", "unknown"),
    }


def sentence(about):
    kind = "virtual processors" if about["virtual"] else "processors"
    return (f"{about['processors']} {kind}, {about['processor']}, {about['memory_bytes'] / 2**30:.0f} GiB, "
            f"governor: {about['governor']}, Linux {about['kernel']}, {about['system']}")


class Meter:
    """Processor time that others used, between two looks."""

    def __init__(self):
        self.ticks = os.sysconf("SC_CLK_TCK")
        self.others = 0.0
        self.stolen = 0.0
        self.total = 0.0
        self.last = self.read()

    def read(self):
        numbers = [int(number) / self.ticks for number in first_line("/proc/stat").split()[1:9]]
        user, nice, system, idle, wait, irq, soft_irq, stolen = numbers
        own = sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        busy = user + nice + system + irq + soft_irq
        return busy - own, stolen, busy + idle + wait + stolen

    def look(self):
        others, stolen, total = self.read()
        self.others += max(0.0, others - self.last[0])
        self.stolen += stolen - self.last[1]
        self.total += total - self.last[2]
        self.last = (others, stolen, total)

    def report(self):
        """What others used, in processors, and the share of time that the hypervisor gave to somebody else."""
        processors = os.cpu_count() or 1
        share = self.others / self.total if self.total else 0.0
        stolen = self.stolen / self.total if self.total else 0.0
        return {"others_processors": share * processors, "stolen": stolen,
                "busy": share * processors > BUSY_PROCESSORS or stolen > BUSY_STOLEN}


def busy_sentence(report):
    text = (f"others used {report['others_processors']:.2f} of a processor, "
            f"{report['stolen']:.1%} of the time was taken by the hypervisor")
    return f"THE MACHINE WAS BUSY: {text}; repeat it on a quiet one" if report["busy"] else f"quiet machine: {text}"
