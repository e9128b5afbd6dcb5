"""`keyslab run` on an interface, read by one thread and by several: what was sent is seen, or counted as dropped.

    test_live.py KEYSLAB

In a network namespace of its own, with two interfaces that are each other's cable; skipped where that is not permitted.
"""

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
import unittest

KEYSLAB = os.path.abspath(sys.argv[1])
NAMESPACE = "keyslab-test-%d" % os.getpid()
SEND, SEE = "ks0", "ks1"
READERS = "1", "2", "4"
WAIT_SECONDS = 60

IN_NAMESPACE = ["ip", "netns", "exec", NAMESPACE]


def ip(*arguments):
    return subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)


def setUpModule():
    try:
        made = ip("netns", "add", NAMESPACE)
    except FileNotFoundError:
        raise unittest.SkipTest("ip (iproute2) is not installed") from None
    if made.returncode:
        raise unittest.SkipTest("no network namespace: " + made.stderr.strip())
    # Or the kernel sends frames of its own.
    subprocess.run(IN_NAMESPACE + ["sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1"], capture_output=True, check=False)
    made = ip("-n", NAMESPACE, "link", "add", SEND, "type", "veth", "peer", "name", SEE)
    if made.returncode:
        tearDownModule()
        raise unittest.SkipTest("no pair of interfaces: " + made.stderr.strip())
    for name in SEND, SEE:
        ip("-n", NAMESPACE, "link", "set", name, "up")


def tearDownModule():
    ip("netns", "delete", NAMESPACE)


# ---------------------------------------------------------------- frames


def tcp(flow, sequence, payload, vlan=None):
    """A segment of flow number `flow`, between hosts of its own."""
    tag = b"" if vlan is None else struct.pack("!HH", 0x8100, vlan)
    ethernet = b"\x02\0\0\0\0\x02" + b"\x02\0\0\0\0\x01" + tag + b"\x08\0"
    ends = bytes((192, 0, 2, 1 + flow % 200)) + bytes((198, 51, 100, 1))
    header = struct.pack("!BBHHHBBH", 0x45, 0, 40 + len(payload), 0, 0, 64, 6, 0) + ends
    return ethernet + header + struct.pack("!HHIIBBHHH", 1024 + flow, 80, sequence, 0, 0x50, 0x10, 8192, 0, 0) + payload


def streams(flows, segments, payload, vlan=None):
    """A segment of each flow in turn."""
    for segment in range(segments):
        for flow in range(flows):
            yield tcp(flow, 1 + segment * len(payload), payload, vlan)


# ---------------------------------------------------------------- the run


class Live(unittest.TestCase):
    def start(self, *arguments, readers, sockets=None, interface=SEE):
        command = IN_NAMESPACE + [KEYSLAB, "run", "--json", "--readers", readers, *arguments, interface]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.kill)
        self.wait_for_sockets(process, int(sockets or readers))
        return process

    def wait_for_sockets(self, process, wanted):
        """The program begins its threads when it has opened the interface."""
        end = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < end:
            self.assertIsNone(process.poll(), "it has ended")
            with open(f"/proc/{process.pid}/net/packet", encoding="ascii") as file:
                opened = len(file.readlines()) == wanted + 1
            if opened and ("--isolate" in process.args or len(os.listdir(f"/proc/{process.pid}/task")) > 1):
                return
            time.sleep(0.02)
        self.fail("it does not read the interface")

    def send(self, frames):
        """From a child in the namespace, which gets them by a pipe; how many."""
        sender = subprocess.Popen(IN_NAMESPACE + [sys.executable, __file__, "--send", SEND], stdin=subprocess.PIPE)
        count = 0
        with sender.stdin as pipe:
            for frame in frames:
                pipe.write(struct.pack("!H", len(frame)) + frame)
                count += 1
        self.assertEqual(sender.wait(WAIT_SECONDS), 0)
        return count

    def end(self, process, status=0):
        time.sleep(0.5)  # a ring's last block is handed over after 20 ms
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=WAIT_SECONDS)
        self.assertEqual(process.returncode, status, err)
        return json.loads(out), err

    @staticmethod
    def events(report, name):
        return next(expert["events"] for expert in report["experts"] if expert["name"] == name)

    def test_all_is_seen_and_each_flow_in_its_order(self):
        for readers in READERS:
            with self.subTest(readers=readers):
                process = self.start("-t", "2", readers=readers)
                sent = self.send(streams(50, 100, b"0123456789"))
                report, _ = self.end(process)
                self.assertEqual((report["frames"], report["dropped"], report["refused"]), (sent, 0, 0))
                self.assertEqual(report["bytes"], sent * (14 + 40 + 10))
                self.assertEqual([flow["packets"] for flow in self.events(report, "flows")], 50 * [100])
                streams_seen = self.events(report, "reassembly")
                self.assertEqual(len(streams_seen), 50)
                for stream in streams_seen:
                    self.assertEqual((stream["bytes"], stream["out of order"], stream["lost"]), (1000, 0, 0))

    def test_what_is_too_much_is_counted(self):
        """The program stands still while more comes than its rings hold."""
        for readers in "1", "2":
            with self.subTest(readers=readers):
                process = self.start("-e", "flows", readers=readers)
                process.send_signal(signal.SIGSTOP)
                sent = self.send(streams(20, 2500, 1400 * b"x"))
                process.send_signal(signal.SIGCONT)
                report, err = self.end(process)
                self.assertGreater(report["dropped"], 0)
                self.assertEqual(report["frames"] + report["dropped"], sent)
                self.assertIn("%s: %d frames were dropped before they could be read" % (SEE, report["dropped"]), err)
                self.assertEqual(sum(flow["packets"] for flow in self.events(report, "flows")), report["frames"])

    def test_tags_that_the_kernel_took_out_are_back(self):
        for readers in READERS:
            with self.subTest(readers=readers):
                process = self.start("-e", "flows", readers=readers)
                sent = self.send(list(streams(3, 10, b"tagged", vlan=42)) + list(streams(3, 10, b"plain")))
                report, _ = self.end(process)
                flows = self.events(report, "flows")
                self.assertEqual(sorted((flow["vlan"], flow["layers"], flow["packets"]) for flow in flows),
                                 3 * [(0, "", 10)] + 3 * [(42, "vlan", 10)])
                self.assertEqual(report["bytes"], sent // 2 * (18 + 46) + sent // 2 * (14 + 45))

    def test_filters_are_the_kernels(self):
        """It has taken the tags out before them: what has no word of them is for tagged frames, too."""
        for readers in READERS:
            for text, kept in ("tcp port 1025", 20), ("vlan 42", 30), ("vlan and port 1024", 10):
                with self.subTest(readers=readers, filter=text):
                    process = self.start("-e", "flows", "-f", text, readers=readers)
                    self.send(list(streams(3, 10, b"tagged", vlan=42)) + list(streams(3, 10, b"plain")))
                    report, _ = self.end(process)
                    self.assertEqual(report["frames"], kept)

    def test_it_stops_after_a_count(self):
        for readers in READERS:
            with self.subTest(readers=readers):
                process = self.start("-e", "flows", "-c", "100", readers=readers)
                self.send(streams(10, 100, b"0123456789"))
                out, err = process.communicate(timeout=WAIT_SECONDS)
                self.assertEqual(process.returncode, 0, err)
                report = json.loads(out)
                self.assertEqual(report["frames"], 100)
                self.assertEqual(sum(flow["packets"] for flow in self.events(report, "flows")), 100)
                self.assertEqual(report["frames_key"]["live"], 0)

    def test_periods_by_the_clock(self):
        for readers in "1", "2":
            with self.subTest(readers=readers):
                process = self.start("-e", "flows", "--every", "0.5s", readers=readers)
                sent = sum(self.send(streams(5, 10, b"0123456789")) for _ in range(4))
                reports = []
                while len(reports) < 3 or sum(report["frames"] + report["dropped"] for report in reports) < sent:
                    reports.append(json.loads(process.stdout.readline()))
                process.send_signal(signal.SIGINT)
                reports += [json.loads(line) for line in process.stdout]
                self.assertEqual(process.wait(WAIT_SECONDS), 0, process.stderr.read())
                self.assertEqual([report["period"]["number"] for report in reports], list(range(1, len(reports) + 1)))
                shown = [(report["frames"], report["dropped"], report["seconds"]) for report in reports]
                self.assertEqual(sum(report["frames"] + report["dropped"] for report in reports), sent, shown)
                for report in reports:
                    self.assertEqual(sum(flow["packets"] for flow in self.events(report, "flows")), report["frames"])
                    self.assertEqual(report["frames_key"]["live"], 0)
                for one, other in zip(reports, reports[1:]):
                    self.assertLessEqual(one["period"]["to"], other["period"]["from"])

    def test_experts_in_processes(self):
        for readers in "1", "2":
            with self.subTest(readers=readers):
                process = self.start("-t", "2", "--isolate", readers=readers)
                sent = self.send(streams(50, 100, b"0123456789"))
                report, _ = self.end(process)
                self.assertEqual((report["frames"], report["dropped"], report["refused"]), (sent, 0, 0))
                self.assertEqual([flow["packets"] for flow in self.events(report, "flows")], 50 * [100])
                self.assertEqual([(stream["bytes"], stream["lost"]) for stream in self.events(report, "reassembly")],
                                 50 * [(1000, 0)])

    def test_an_expert_is_started_again_while_others_read(self):
        """Its new process is forked from one that has threads by now."""
        for readers in "1", "2":
            with self.subTest(readers=readers):
                process = self.start("--isolate", "--restart", "1", "--fail", "flows@100", readers=readers)
                sent = self.send(streams(50, 100, b"0123456789"))
                report, _ = self.end(process, status=3)
                self.assertEqual((report["frames"], report["dropped"], report["refused"]), (sent, 0, 0))
                self.assertEqual([expert["restarts"] for expert in report["experts"]], [1, 0])
                self.assertEqual(sum(flow["packets"] for flow in self.events(report, "flows")), sent - 100)
                self.assertEqual([stream["bytes"] for stream in self.events(report, "reassembly")], 50 * [1000])

    def test_an_interface_that_is_down_for_a_while(self):
        for readers in "1", "2":
            with self.subTest(readers=readers):
                process = self.start("-e", "flows", readers=readers)
                sent = self.send(streams(5, 10, b"0123456789"))
                ip("-n", NAMESPACE, "link", "set", SEE, "down")
                time.sleep(0.3)
                ip("-n", NAMESPACE, "link", "set", SEE, "up")
                time.sleep(0.3)
                sent += self.send(streams(5, 10, b"0123456789"))
                report, err = self.end(process)
                self.assertEqual((report["frames"], err), (sent, ""))

    def test_an_interface_that_disappears(self):
        for readers in "1", "2":
            with self.subTest(readers=readers):
                ip("-n", NAMESPACE, "link", "add", "ks2", "type", "veth", "peer", "name", "ks3")
                ip("-n", NAMESPACE, "link", "set", "ks2", "up")
                process = self.start("-e", "flows", readers=readers, interface="ks2")
                ip("-n", NAMESPACE, "link", "delete", "ks2")
                out, err = process.communicate(timeout=WAIT_SECONDS)
                self.assertEqual(process.returncode, 1, err)
                self.assertIn("ks2: The interface disappeared", err)
                self.assertEqual(json.loads(out)["frames"], 0)

    def test_what_has_no_ethernet_headers_has_one_reader(self):
        """The pseudo-interface of all of them."""
        process = self.start("-e", "flows", readers="2", sockets="1", interface="any")
        sent = self.send(streams(5, 10, b"0123456789"))
        report, err = self.end(process)
        self.assertIn("any: --readers 2: one reads it: ", err)
        self.assertEqual(report["frames"], 2 * sent)  # as it leaves, and as it comes


class Options(unittest.TestCase):
    def test_readers_are_for_interfaces(self):
        done = subprocess.run([KEYSLAB, "run", "--readers", "2", KEYSLAB], capture_output=True, text=True, check=False)
        self.assertNotEqual(done.returncode, 0)
        for number in "0", "65", "x":
            done = subprocess.run([KEYSLAB, "run", "--readers", number, "lo"], capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 2)
            self.assertIn("--readers " + number, done.stderr)


def send_all(interface):
    """The frames that standard input holds, each behind its length."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.bind((interface, 0))
        while head := sys.stdin.buffer.read(2):
            sender.send(sys.stdin.buffer.read(struct.unpack("!H", head)[0]))


if __name__ == "__main__":
    if sys.argv[1] == "--send":
        send_all(sys.argv[2])
    else:
        unittest.main(argv=sys.argv[:1] + sys.argv[2:])
