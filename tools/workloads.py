"""Work for programs that know nothing of keyslab, on input that every checkout has: the same each time, with output to compare.

A workload is prepared once, in a folder of its own, and then run with any allocator. A launcher starts its programs, and decides
what they are started with:

    launcher.run(command, folder=None)     the command's standard output, or Failed
    launcher.serve(command)                a server, as a context; it is told to end when the context is left
"""

import contextlib
import gzip
import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SAMPLE = os.path.join(ROOT, "tools", "sample.pcap.gz")
WAIT_SECONDS = 300
START_SECONDS = 20


class Failed(Exception):
    """A program ended with another status than zero, or a server did not start."""


class Launcher:
    """Starts programs under LD_PRELOAD, or as they are where there is no library."""

    def __init__(self, library=None, environment=None):
        self.prefix = []
        self.environment = dict(os.environ, LC_ALL="C", TZ="UTC", HOME="/nonexistent", GIT_CONFIG_GLOBAL="/dev/null",
                                GIT_CONFIG_SYSTEM="/dev/null", PYTHONHASHSEED="0", PERL_HASH_SEED="0")
        self.environment.update(environment or {})
        if library:
            self.preload(library)

    def preload(self, library):
        """`library` is found from any folder: the dynamic linker leaves out what it does not find, and goes on."""
        self.environment["LD_PRELOAD"] = library

    def run(self, command, folder=None):
        result = subprocess.run(self.prefix + command, env=self.environment, cwd=folder, stdin=subprocess.DEVNULL,
                                capture_output=True, timeout=WAIT_SECONDS)
        if result.returncode:
            raise Failed("%s: status %d: %s" % (" ".join(command), result.returncode,
                                                result.stderr.decode(errors="replace").strip()[-500:]))
        return result.stdout

    @contextlib.contextmanager
    def serve(self, command):
        server = subprocess.Popen(self.prefix + command, env=self.environment, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            yield
        finally:
            server.send_signal(signal.SIGTERM)
            output = server.communicate(timeout=WAIT_SECONDS)[0]
        if server.returncode:
            raise Failed("%s: status %d: %s" % (command[0], server.returncode, output.decode(errors="replace")[-500:]))


def wait_for_socket(path):
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(path)
                return
            except OSError:
                time.sleep(0.01)
    raise Failed("%s: no server listens after %d s" % (path, START_SECONDS))


class Workload:
    """`size` scales the work: 1 is a second or so."""

    name = ""
    programs = ()
    packets = False
    of_others = {}  # environment of other peers than keyslab, where the program takes keyslab's memory of its own accord
    nanoseconds = None  # set by run: the row's own figure, where it is not the time from the start to the end

    def __init__(self, folder, size=1.0):
        self.folder = os.path.join(folder, self.name)
        self.size = size
        os.makedirs(self.folder)

    @classmethod
    def missing(cls):
        """The programs that are not installed."""
        path = os.environ.get("PATH", "") + os.pathsep + "/usr/sbin"
        return [program for program in cls.programs if not shutil.which(program, path=path)]

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, data):
        with open(self.path(name), "wb" if isinstance(data, bytes) else "w") as file:
            file.write(data)
        return self.path(name)

    def scaled(self, count):
        return max(1, int(count * self.size))

    def prepare(self):
        pass

    def run(self, launcher):
        raise NotImplementedError


# ---------------------------------------------------------------- packets


class Capture(Workload):
    """A program over the first part of the sample capture."""

    packets = True
    bytes_wanted = 64 << 20

    def prepare(self):
        with gzip.open(SAMPLE) as file:
            data = file.read(self.scaled(self.bytes_wanted))
        offset = 24
        while offset + 16 <= len(data):
            after = offset + 16 + int.from_bytes(data[offset + 8:offset + 12], "little")
            if after > len(data):
                break
            offset = after
        self.capture = self.write("sample.pcap", data[:offset])


class Tshark(Capture):
    name = "tshark"
    programs = ("tshark",)

    def run(self, launcher):
        return launcher.run(["tshark", "-n", "-r", self.capture])


class Tcpdump(Capture):
    name = "tcpdump"
    programs = ("tcpdump",)

    def run(self, launcher):
        return launcher.run(["tcpdump", "-nn", "-v", "-r", self.capture])


class Ndpi(Capture):
    name = "ndpiReader"
    programs = ("ndpiReader",)

    def run(self, launcher):
        output = launcher.run(["ndpiReader", "-v", "2", "-i", self.capture])
        # What it measures of itself differs from run to run.
        return re.sub(rb"(?m)^.*(Setup Time|Processing Time|throughput|Memory|Using nDPI).*\n", b"", output)


# ---------------------------------------------------------------- programs


PYTHON = """
import ast, collections, json, sys
words = collections.Counter()
for turn in range(int(sys.argv[1])):
    text = open(json.__file__).read() + open(ast.__file__).read() + open(collections.__file__).read()
    tree = ast.parse(text)
    names = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name)]
    rows = json.loads(json.dumps([{"name": name, "at": [i, i * 2.5, str(i)]} for i, name in enumerate(names)]))
    words.update(row["name"] + row["at"][2][-1] for row in rows)
    tail = bytearray()
    for name in names:
        tail += name.encode() * 3
    words[str(len(tail))] += 1
print(sorted(words.items()))
"""


class Python(Workload):
    """With its objects in malloc: by default Python maps memory for them itself."""

    name = "python3"
    programs = ("python3",)

    def prepare(self):
        self.script = self.write("work.py", PYTHON)

    def run(self, launcher):
        return launcher.run(["env", "PYTHONMALLOC=malloc", "python3", "-S", self.script, str(self.scaled(8))])


PERL = r"""
use strict;
my (%seen, @lines);
for my $turn (1 .. $ARGV[0]) {
    for my $i (1 .. 4000) {
        my $line = join ",", map { ($i * $_ * 7919) % 65537 } 1 .. ($i % 13 + 1);
        push @lines, $line;
        $seen{$_}++ for split /,/, $line;
        $lines[-1] =~ s/(\d)(\d)/$2$1$turn/g;
    }
    splice @lines, 0, 3000;
}
print "$_ $seen{$_}\n" for sort keys %seen;
print length(join "", @lines), "\n";
"""


class Perl(Workload):
    name = "perl"
    programs = ("perl",)

    def prepare(self):
        self.script = self.write("work.pl", PERL)

    def run(self, launcher):
        return launcher.run(["perl", self.script, str(self.scaled(30))])


class Sqlite(Workload):
    name = "sqlite3"
    programs = ("sqlite3",)

    def prepare(self):
        self.script = self.write("work.sql", """
create table flow(id integer primary key, source text, target text, packets int, note text);
with recursive n(i) as (select 1 union all select i + 1 from n where i < %d)
insert into flow select i, printf('192.0.2.%%d', i * 7919 %% 251), printf('198.51.100.%%d', i * 104729 %% 241), i %% 977,
    hex(i * 2654435761) from n;
create index by_source on flow(source, target);
create index by_note on flow(note);
select source, count(*), sum(packets), group_concat(substr(note, 1, 2), '') from flow group by source order by 2, 1;
delete from flow where packets %% 3 = 0;
update flow set note = note || source where packets %% 5 = 0;
select count(*), sum(length(note)), max(note) from flow where note > '7';
vacuum;
select a.source, count(*) from flow a join flow b on b.note = a.note group by 1 order by 1;
""" % self.scaled(120000))

    def run(self, launcher):
        return launcher.run(["sqlite3", ":memory:", ".read " + self.script])


class Git(Workload):
    """A repository of made-up commits: its whole history as patches, then a repack."""

    name = "git"
    programs = ("git",)

    def prepare(self):
        repository = self.path("repository")
        git = ["git", "-c", "init.defaultBranch=main"]
        environment = dict(os.environ, HOME="/nonexistent", GIT_CONFIG_GLOBAL="/dev/null", GIT_CONFIG_SYSTEM="/dev/null")
        subprocess.run(git + ["init", "--quiet", "--bare", repository], check=True, env=environment)
        subprocess.run(git + ["-C", repository, "fast-import", "--quiet"], input=self.history(), check=True, env=environment)
        self.repository = repository

    def history(self):
        parts = []
        lines = {name: ["%s line %d" % (name, i * i % 1009) for i in range(400)] for name in "abcdefgh"}
        for commit in range(self.scaled(800)):
            name = "abcdefgh"[commit * 5 % 8]
            text = lines[name]
            text[commit * 31 % len(text)] = "commit %d was here" % commit
            text.insert(commit * 17 % len(text), "%d more" % commit)
            body = "\n".join(text) + "\n"
            parts.append("commit refs/heads/main\ncommitter A <a@example.org> %d +0000\ndata 8\nmessage\n\n"
                         "M 100644 inline %s/file.txt\ndata %d\n%s\n" % (1700000000 + commit, name, len(body), body))
        return "".join(parts).encode()

    def run(self, launcher):
        log = launcher.run(["git", "log", "-p", "--stat", "main"], self.repository)
        launcher.run(["git", "-c", "pack.threads=1", "repack", "-adfq"], self.repository)
        return log


class Gcc(Workload):
    """The project's own sources, which need no other header than libc's."""

    name = "gcc"
    programs = ("gcc",)
    sources = ("tests/misuse.c", "tests/stress.c")

    def run(self, launcher):
        output = b""
        for source in self.sources:
            output += launcher.run(["gcc", "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-S", "-o", "-",
                                    "-I" + os.path.join(ROOT, "include"), os.path.join(ROOT, source)])
        return output


# ---------------------------------------------------------------- servers


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost")
        self.socket_path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.socket_path)


class Nginx(Workload):
    """Requests on a unix socket, over connections that are kept for fifty of them."""

    name = "nginx"
    programs = ("nginx",)

    def prepare(self):
        site = self.path("site")
        os.makedirs(site)
        for kib in (1, 16, 200):
            with open(os.path.join(site, "%d.txt" % kib), "w") as file:
                file.write("0123456789abcde\n" * (64 * kib))
        # A path of its own: a socket's name has room for 107 bytes.
        self.socket = os.path.join(os.path.dirname(self.folder), "nginx.socket")
        self.settings = self.write("nginx.conf", """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    default_type text/plain;
    gzip on;
    gzip_min_length 100;
    server {{
        listen unix:{socket};
        root {folder}/site;
        location /echo {{ return 200 "$request_uri $http_x_note\\n"; }}
    }}
}}
""".format(folder=self.folder, socket=self.socket))

    def run(self, launcher):
        # What is left of a server that was killed would keep this one from listening.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.socket)
        nginx = shutil.which("nginx") or "/usr/sbin/nginx"
        with launcher.serve([nginx, "-e", self.path("error.log"), "-c", self.settings]):
            wait_for_socket(self.socket)
            return b"".join(self.requests())

    def requests(self):
        for turn in range(self.scaled(80)):
            connection = UnixConnection(self.socket)
            for i in range(50):
                target = ("/1.txt", "/16.txt", "/echo/%d" % i, "/200.txt" if i % 25 == 1 else "/echo", "/none")[i % 5]
                headers = {"Accept-Encoding": "gzip"} if i % 3 else {"X-Note": "n" * (i * 37 % 1500)}
                connection.request("GET", target, headers=headers)
                answer = connection.getresponse()
                yield b"%d %s\n" % (answer.status, answer.read())
            connection.close()


class Redis(Workload):
    """Strings, lists, hashes and sorted sets over a unix socket, many commands at a time, and what is stored in the end."""

    name = "redis-server"
    programs = ("redis-server",)

    def prepare(self):
        self.socket = os.path.join(os.path.dirname(self.folder), "redis.socket")

    def run(self, launcher):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.socket)
        with launcher.serve(["redis-server", "--port", "0", "--unixsocket", self.socket, "--save", "", "--dir",
                             self.folder, "--daemonize", "no"]):
            wait_for_socket(self.socket)
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(self.socket)
                return b"".join(self.talk(client, client.makefile("rb")))

    @staticmethod
    def commands(turn):
        for i in range(500):
            n = turn * 500 + i
            yield ["SET", "string:%d" % (n % 30011), "v" * (n * 7919 % 1200)]
            yield ["APPEND", "string:%d" % (n * 31 % 30011), "tail"]
            yield ["RPUSH", "list:%d" % (n % 101), "entry %d" % n]
            yield ["HSET", "hash:%d" % (n % 211), "field%d" % (n % 53), str(n)]
            yield ["ZADD", "sorted:%d" % (n % 17), str(n * 13 % 9973), "member%d" % (n % 3001)]
            yield ["GET", "string:%d" % (n * 17 % 30011)]
            if n % 50 == 0:
                yield ["DEL", "list:%d" % (n * 3 % 101), "string:%d" % (n * 5 % 30011)]
        yield ["LRANGE", "list:%d" % (turn % 101), "0", "-1"]

    def talk(self, client, answers):
        for turn in range(self.scaled(120)):
            commands = list(self.commands(turn))
            client.sendall(b"".join(self.encoded(command) for command in commands))
            for _ in commands:
                yield self.answer(answers)
        client.sendall(self.encoded(["DBSIZE"]))
        yield self.answer(answers)

    @staticmethod
    def encoded(command):
        parts = [part.encode() for part in command]
        return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)

    def answer(self, answers):
        line = answers.readline()
        if line[:1] == b"$" and line != b"$-1\r\n":
            return answers.read(int(line[1:]) + 2)
        if line[:1] == b"*":
            return b"".join(self.answer(answers) for _ in range(int(line[1:])))
        if not line or line[:1] == b"-":
            raise Failed("redis-server answers: %s" % line.decode(errors="replace").strip())
        return line


ALL = (Tshark, Tcpdump, Ndpi, Python, Perl, Sqlite, Git, Gcc, Nginx, Redis)
