"""Made-up audit files of any size in the layout of the collection scripts: the same seed gives the same bytes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import chain

__all__ = ["FAMILIES_IN_TURN", "sample"]

FAMILIES_IN_TURN = ("Linux", "Windows", "Darwin")

Section = tuple[str, Iterator[str]]
Head = Callable[[str, random.Random], Iterator[str]]
MakeSection = Callable[[random.Random], Section]
Filler = tuple[str, Callable[[random.Random], str]]

_USERS = ("root", "admin", "backup", "deploy", "mallory", "trent", "service", "kiosk")
_WORDS = ("openssl", "curl", "nginx", "sudo", "bash", "zlib", "systemd", "python3", "glibc", "rsync", "vim", "tar")
_UNITS = ("sshd", "nginx", "crond", "chronyd", "rsyslog", "telnet", "cups", "dbus", "polkit")
_SERVERS = ("ntp1.example.net", "ntp2.example.net", "time.example.org")


def sample(family: str, name: str, kilobytes: int = 64, seed: int = 0) -> bytes:
    """One audit file.

    Parameters
    ----------
    family : {"Linux", "Windows", "Darwin"}
    name : str
        Host name in the file.
    kilobytes : int
        Least size of the content; log sections are filled up to it.
    seed : int

    Returns
    -------
    bytes
        UTF-8, with CRLF line ends for Windows.
    """
    rng = random.Random(f"{seed}/{family}/{name}")
    head, sections, filler = _FAMILIES[family]
    lines = [*head(name, rng)]
    for section in sections:
        lines += _framed(*section(rng))
    size = sum(map(len, lines)) + len(lines)
    lines += _framed(*_filled(filler, rng, 1024 * kilobytes - size))
    end = "\r\n" if family == "Windows" else "\n"
    return (end.join(lines) + end).encode()


def _framed(name: str, content: Iterator[str]) -> Iterator[str]:
    yield f"#[BEGIN]: {name}"
    yield f"###Running: collect {name}"
    yield from (f"{name}::{line}" for line in content)
    yield f"#[END]: {name}"


def _filled(filler: Filler, rng: random.Random, size: int) -> tuple[str, Iterator[str]]:
    name, line = filler

    def content() -> Iterator[str]:
        left = size
        while left > 0:
            text = line(rng)
            left -= len(name) + len(text) + 3
            yield text

    return name, content()


def _version(rng: random.Random) -> str:
    return f"{rng.randrange(9)}.{rng.randrange(30)}.{rng.randrange(20)}"


def _linux_head(name: str, rng: random.Random) -> Iterator[str]:
    kind, pretty = rng.choice((("Ubuntu", "Ubuntu 22.04.4 LTS"), ("Rocky Linux", "Rocky Linux 9.3 (Blue Onyx)")))
    release = "System_VersionInformation::/etc/os-release::"
    yield f"System Report for {name}"
    yield "This report was generated Sat Nov 21 10:00:00 UTC 2026"
    yield f"KPNIXVERSION: 0.6.{rng.randrange(8, 24)}"
    yield f'{release}NAME="{kind}"'
    yield f'{release}PRETTY_NAME="{pretty}"'


def _windows_head(name: str, rng: random.Random) -> Iterator[str]:
    product, release, build = rng.choice(
        (("Windows Server 2022 Standard", "2009", 20348), ("Windows Server 2016 Standard", "1607", 14393))
    )
    yield f"System Report for {name}"
    yield "System_PSDetails::KPWINVERSION: 0.4.8"
    yield f"System_OSInfo::ProductName               : {product}"
    yield f"System_OSInfo::ReleaseId                 : {release}"
    yield f"System_OSInfo::CurrentBuild              : {build}"
    yield f"System_OSInfo::UBR                       : {rng.randrange(100, 6000)}"


def _darwin_head(name: str, rng: random.Random) -> Iterator[str]:
    yield f"System Report for {name}"
    yield "KPMACVERSION: 0.1.0"
    yield "System_VersionInformation::ProductName:\t\tmacOS"
    yield f"System_VersionInformation::ProductVersion:\t\t{rng.choice(('13.6.1', '14.2', '10.15.7'))}"
    yield "System_VersionInformation::BuildVersion:\t\t22G313"


def _packages(rng: random.Random) -> Section:
    lines = (f"ii  {word}  {_version(rng)}-{rng.randrange(9)}  amd64" for word in _WORDS)
    rpms = (f"{word}-{_version(rng)}-{rng.randrange(1, 9)}.el9.x86_64" for word in _WORDS)
    return "System_Packages", chain(lines, rpms)


def _updates(rng: random.Random) -> Section:
    marks = ("", " security")
    return "System_Updates", (f"{w} {_version(rng)} -> {_version(rng)}{rng.choice(marks)}" for w in _WORDS[::2])


def _units(rng: random.Random) -> Section:
    running = [unit for unit in _UNITS if rng.random() < 0.8]
    return "Services_Systemd", (f"{unit}.service  loaded active running {unit.title()} server" for unit in running)


def _accounts(rng: random.Random) -> Section:
    def lines() -> Iterator[str]:
        for number, user in enumerate(_USERS):
            yield f"Name: {user}"
            yield f"Uid: {0 if user == 'mallory' and rng.random() < 0.3 else 1000 * bool(number) + number}"
            yield f"Shell: {rng.choice(('/bin/bash', '/usr/sbin/nologin'))}"
            yield from ["Last login: never"] * (rng.random() < 0.4)
            yield "--"

    return "Users_Local", lines()


def _secrets(rng: random.Random) -> Section:
    return "Users_Shadow", (
        f"{user}:{'' if rng.random() < 0.05 else '$6$hidden'}:19500:0:99999:7:::" for user in _USERS
    )


def _sudoers(rng: random.Random) -> Section:
    return "Users_Sudoers", (f"/etc/sudoers.d/{u}::{u} ALL=(ALL) NOPASSWD: ALL" for u in _USERS if rng.random() < 0.3)


def _ageing(rng: random.Random) -> Section:
    return "Users_LoginDefs", iter((f"PASS_MAX_DAYS   {rng.choice((90, 365, 99999))}", "PASS_MIN_DAYS   0"))


def _ssh(rng: random.Random) -> Section:
    root = rng.choice(("no", "yes", "prohibit-password"))
    return "Network_Ssh", iter(
        (f"PermitRootLogin {root}", "PasswordAuthentication yes", "Ciphers aes256-gcm@openssh.com")
    )


def _ports(rng: random.Random) -> Section:
    def line(port: int) -> str:
        address, process = rng.choice(("10.0.0.5", "127.0.0.1")), rng.choice(_UNITS)
        return f'tcp   LISTEN 0      128    {address}:{port}   10.0.0.9:*  users:(("{process}",pid=7))'

    return "Network_Listening", map(line, (22, 80, 443, 5432))


def _sysctl(rng: random.Random) -> Section:
    keys = ("net.ipv4.ip_forward", "net.ipv4.conf.all.accept_redirects", "net.ipv6.conf.all.accept_source_route")
    return "Network_Sysctl", (f"{key} = {rng.randrange(2)}" for key in keys)


def _rsyslog(rng: random.Random) -> Section:
    return "Logging_Rsyslog", iter(["/etc/rsyslog.conf::*.* @@loghost.example.net"] * (rng.random() < 0.7))


def _chrony(rng: random.Random) -> Section:
    status = rng.choice(("Normal", "Not synchronised"))
    source = rng.choice(_SERVERS)
    return "Time_Chrony", iter(
        (
            f"Reference ID    : C0A80001 ({source})",
            f"Stratum         : {rng.randrange(2, 9)}",
            f"Leap status     : {status}",
        )
    )


def _auth_line(rng: random.Random) -> str:
    clock = f"Nov {rng.randrange(1, 29):2} {rng.randrange(24):02}:{rng.randrange(60):02}:{rng.randrange(60):02}"
    if rng.random() < 0.02:
        invalid = rng.choice(("", "invalid user "))
        who = invalid + rng.choice(_USERS)
        return f"{clock} host sshd[{rng.randrange(9999)}]: Failed password for {who} from 192.0.2.7 port 22"
    return f"{clock} host systemd[1]: Started session {rng.randrange(10**6)} of user {rng.choice(_USERS)}."


def _hotfixes(rng: random.Random) -> Section:
    def lines() -> Iterator[str]:
        for number in range(6):
            date = f"{rng.randrange(1, 13)}/{rng.randrange(1, 29)}/2026"
            if number % 2:
                yield from (f"HotFixID    : KB50{rng.randrange(10**4, 10**5)}", f"InstalledOn : {date}")
            else:
                yield from (f"Package_for_KB50{rng.randrange(10**4, 10**5)}~31bf3856ad364e35", f"Install Time : {date}")
            yield "-----"

    return "System_Hotfixes", lines()


def _windows_services(rng: random.Random) -> Section:
    def lines() -> Iterator[str]:
        for name in ("Spooler", "W32Time", "Agent", "Backup"):
            path = rng.choice((rf"C:\Program Files\{name}\{name}.exe", rf'"C:\Program Files\{name}\{name}.exe"'))
            yield from (f"Name      : {name}", "StartMode : Auto", "State     : Running", f"PathName  : {path}")

    return "Services_Windows", lines()


def _windows_accounts(rng: random.Random) -> Section:
    def lines() -> Iterator[str]:
        for user in ("Administrator", "Guest", *_USERS[1:4]):
            yield from (f"Name             : {user}", f"Enabled          : {rng.random() < 0.5}")
            yield from (f"PasswordRequired : {rng.random() < 0.9}", "LastLogon        : 11/20/2026 8:00:00 AM", "")

    return "Users_Local", lines()


def _policy(rng: random.Random) -> Section:
    length, threshold = rng.choice((0, 8, 14)), rng.choice(("Never", "5"))
    return "Users_PasswordPolicy", iter(
        (f"Minimum password length:      {length}", f"Lockout threshold:      {threshold}")
    )


def _netstat(rng: random.Random) -> Section:
    ports = (135, 445, 3389, 5985)
    return "Network_Netstat", (
        f"  TCP    0.0.0.0:{p}    0.0.0.0:0    LISTENING    {rng.randrange(4, 9999)}" for p in ports
    )


def _smb(rng: random.Random) -> Section:
    return "Network_Smb", iter([f"EnableSMB1Protocol : {rng.random() < 0.2}"])


def _windows_firewall(rng: random.Random) -> Section:
    return "Network_Firewall", (f"{p}   {rng.choice(('ON', 'OFF'))}" for p in ("Domain", "Private", "Public"))


def _event_logs(rng: random.Random) -> Section:
    logs = ("Application", "Security", "System")
    return "Logging_EventLogs", (f"{log}  {rng.choice((20480, 1048576))}  OverwriteAsNeeded" for log in logs)


def _w32tm(rng: random.Random) -> Section:
    return "Time_W32tm", iter([f"Source: {rng.choice((*_SERVERS, 'Local CMOS Clock'))}"])


def _event_line(rng: random.Random) -> str:
    return (
        f"Security {rng.randrange(10**7)} EventID {rng.choice((4624, 4625, 4634, 4672))} account {rng.choice(_USERS)}"
    )


def _darwin_updates(rng: random.Random) -> Section:
    return "System_SoftwareUpdate", iter(["* Label: macOS Ventura 13.6.3-22G436"] * (rng.random() < 0.6))


def _filevault(rng: random.Random) -> Section:
    return "System_FileVault", iter([f"FileVault is {rng.choice(('On', 'Off'))}."])


def _launchd(rng: random.Random) -> Section:
    labels = ("com.apple.Finder", "org.example.updater", "net.example.agent")
    return "Services_Launchd", (f"{rng.randrange(9999)}\t0\t{label}" for label in labels)


def _admins(rng: random.Random) -> Section:
    return "Users_Admins", (user for user in _USERS if rng.random() < 0.4)


def _sharing(rng: random.Random) -> Section:
    services = ("Remote Login", "Screen Sharing", "File Sharing", "Remote Management")
    return "Network_Sharing", (f"{service}: {rng.choice(('On', 'Off'))}" for service in services)


def _darwin_firewall(rng: random.Random) -> Section:
    return "Network_Firewall", iter([f"Firewall is {rng.choice(('enabled', 'disabled'))}. (State = 1)"])


def _sntp(rng: random.Random) -> Section:
    return "Time_Sntp", iter(("Network Time: On", f"Network Time Server: {rng.choice(_SERVERS)}"))


def _install_line(rng: random.Random) -> str:
    when = f"2026-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02} {rng.randrange(24):02}:10:00+00"
    if rng.random() < 0.01:
        return f'{when} mac installd[9]: Installed "{rng.choice(_WORDS)}" ({_version(rng)})'
    return f"{when} mac softwareupdated[7]: Scan {rng.randrange(10**6)} found nothing to do"


_FAMILIES: dict[str, tuple[Head, tuple[MakeSection, ...], Filler]] = {
    "Linux": (
        _linux_head,
        (_packages, _updates, _units, _accounts, _secrets, _sudoers, _ageing, _ssh, _ports, _sysctl, _rsyslog, _chrony),
        ("Logging_Auth", _auth_line),
    ),
    "Windows": (
        _windows_head,
        (
            _hotfixes,
            _windows_services,
            _windows_accounts,
            _policy,
            _netstat,
            _smb,
            _windows_firewall,
            _event_logs,
            _w32tm,
        ),
        ("Logging_Security", _event_line),
    ),
    "Darwin": (
        _darwin_head,
        (_darwin_updates, _filevault, _launchd, _admins, _sharing, _darwin_firewall, _sntp),
        ("Logging_Install", _install_line),
    ),
}
