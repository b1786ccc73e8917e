"""Made-up audit files of any size in the layout of the collection scripts: the same seed gives the same bytes.

A template has one line a line of the file, under the name of its section. ``{a|b}`` is one of the words, ``{2..9}`` a
whole number, and a line that begins with ``30%`` is there in so many of a hundred files.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

__all__ = ["FAMILIES_IN_TURN", "sample"]

FAMILIES_IN_TURN = ("Linux", "Windows", "Darwin")

_CHOICE = re.compile(r"\{([^{}]*)\}")
_RELEASE = "System_VersionInformation::/etc/os-release::"

_HEADS = {
    "Linux": f"""\
This report was generated Sat Nov 21 10:00:00 UTC 2026
KPNIXVERSION: 0.6.{{8..23}}
{_RELEASE}NAME="{{Ubuntu|Rocky Linux}}"
{_RELEASE}PRETTY_NAME="{{Release 22.04.4 LTS|Release 9.3}}"
""",
    "Windows": """\
System_PSDetails::KPWINVERSION: 0.4.8
System_OSInfo::ProductName               : Windows Server {2022|2016} Standard
System_OSInfo::ReleaseId                 : {2009|1607}
System_OSInfo::CurrentBuild              : {20348|14393}
System_OSInfo::UBR                       : {100..5999}
""",
    "Darwin": """\
KPMACVERSION: 0.1.0
System_VersionInformation::ProductName:		macOS
System_VersionInformation::ProductVersion:		{13.6.1|14.2|10.15.7}
System_VersionInformation::BuildVersion:		22G313
""",
}

_SECTIONS = {
    "Linux": """\
[Script_Errors]
30% lastlog: command not found
[System_Packages]
ii  openssl  3.0.{0..20}-{1..9}  amd64
ii  curl  7.{60..90}.0-{1..9}  amd64
ii  nginx  1.{18..26}.0-{1..9}  amd64
sudo-1.9.{5..15}-{1..9}.el9.x86_64
systemd-{249..256}-{1..9}.el9.x86_64
glibc-2.{30..39}-{1..99}.el9.x86_64
[System_Updates]
openssl 3.0.2 -> 3.0.{3..20}{ security|}
60% curl 7.81.0 -> 7.{82..90}.0{ security|}
60% tar 1.34 -> 1.35
[Services_Systemd]
sshd.service  loaded active running OpenSSH server
chronyd.service  loaded active running NTP client
80% nginx.service  loaded active running web server
40% telnet.service  loaded active running Telnet server
40% cups.service  loaded active running printing
[Users_Local]
Name: root
Uid: 0
Shell: /bin/bash
--
Name: {admin|deploy}
Uid: {1000..1009}
Shell: {/bin/bash|/usr/sbin/nologin}
40% Last login: never
--
Name: mallory
Uid: {0|1010|1011}
--
[Users_Shadow]
root:$6$hidden:19500:0:99999:7:::
10% trent::19500:0:99999:7:::
[Users_Sudoers]
30% /etc/sudoers.d/deploy::deploy ALL=(ALL) NOPASSWD: ALL
[Users_LoginDefs]
PASS_MAX_DAYS   {90|365|99999}
PASS_MIN_DAYS   0
[Network_Ssh]
PermitRootLogin {no|yes|prohibit-password}
PasswordAuthentication {yes|no}
Ciphers aes256-gcm@openssh.com
[Network_Listening]
tcp   LISTEN 0      128    {10.0.0.5|127.0.0.1}:22   10.0.0.9:*  users:(("sshd",pid={2..999},fd=3))
tcp   LISTEN 0      128    {10.0.0.5|127.0.0.1}:5432   10.0.0.9:*  users:(("postgres",pid={2..999},fd=3))
[Network_Sysctl]
net.ipv4.ip_forward = {0|1}
net.ipv4.conf.all.accept_redirects = {0|1}
net.ipv6.conf.all.accept_source_route = {0|1}
[Logging_Rsyslog]
70% /etc/rsyslog.conf::*.* @@loghost.example.net
[Time_Chrony]
Reference ID    : C0A80001 (ntp{1|2}.example.net)
Stratum         : {2..8}
Leap status     : {Normal|Not synchronised}
""",
    "Windows": r"""
[System_Hotfixes]
HotFixID    : KB50{10000..99999}
InstalledOn : {1..12}/{1..28}/2026
-----
Package_for_KB50{10000..99999}~31bf3856ad364e35
Install Time : {1..12}/{1..28}/2026
-----
[Services_Windows]
Name      : Spooler
StartMode : {Auto|Manual}
State     : {Running|Stopped}
PathName  : C:\Windows\System32\spoolsv.exe
Name      : Backup
StartMode : Auto
State     : Running
PathName  : {"C:\Program Files\Backup\backup.exe"|C:\Program Files\Backup\backup.exe}
[Users_Local]
Name             : Administrator
Enabled          : {True|False}
PasswordRequired : True
LastLogon        : 11/20/2026 8:00:00 AM

Name             : Guest
Enabled          : {False|True}
PasswordRequired : {False|True}

[Users_PasswordPolicy]
Minimum password length:      {0|8|14}
Lockout threshold:      {Never|5}
[Network_Netstat]
  TCP    10.0.0.5:445    10.0.0.9:0    LISTENING    {4..9999}
  TCP    10.0.0.5:3389    10.0.0.9:0    LISTENING    {4..9999}
[Network_Smb]
EnableSMB1Protocol : {True|False|False}
[Network_Firewall]
Domain   {ON|OFF}
Private   {ON|OFF}
Public   {ON|OFF}
[Logging_EventLogs]
Security  {20480|1048576}  OverwriteAsNeeded
System  20480  OverwriteAsNeeded
[Time_W32tm]
Source: {time.example.org|Local CMOS Clock}
""",
    "Darwin": """\
[System_SoftwareUpdate]
60% * Label: macOS Ventura 13.6.3-22G436
[System_FileVault]
FileVault is {On|Off}.
[Services_Launchd]
{1..9999}	0	com.apple.Finder
{1..9999}	0	org.example.updater
-	{0|78}	net.example.agent
[Users_Admins]
admin
40% mallory
[Network_Sharing]
Remote Login: {On|Off}
Screen Sharing: {On|Off}
File Sharing: {On|Off}
[Network_Firewall]
Firewall is {enabled|disabled}. (State = 1)
[Time_Sntp]
Network Time: On
Network Time Server: ntp{1|2}.example.net
""",
}

_SESSION = (
    "Nov {10..28} {10..23}:{10..59}:{10..59} host systemd[1]: Started session {1..99999} of user {root|admin|backup}."
)
_FAILED = (
    "Nov {10..28} {10..23}:{10..59}:{10..59} host sshd[{100..9999}]: Failed password for {|invalid user }{root|guest}"
)
_EVENT = "Security {1..9999999} EventID {4624|4634|4672} account {root|admin|backup}"
_QUIET = "2026-{10..12}-{10..28} {10..23}:10:00+00 mac softwareupdated[7]: Scan {1..99999} found nothing to do"
_INSTALLED = '2026-{10..12}-{10..28} {10..23}:10:00+00 mac installd[9]: Installed "{curl|vim|nginx}" (1.{0..9})'

_LOGS = {  # what a file is filled up with: a common line, and one of which there is one in a hundred
    "Linux": ("Logging_Auth", _SESSION, _FAILED + " from 192.0.2.{1..254} port 22"),
    "Windows": ("Logging_Security", _EVENT, "Security {1..9999999} EventID 4625 account {guest|mallory}"),
    "Darwin": ("Logging_Install", _QUIET, _INSTALLED),
}


def sample(family: str, name: str, kilobytes: int = 64, seed: int = 0) -> bytes:
    """One audit file.

    Parameters
    ----------
    family : {"Linux", "Windows", "Darwin"}
    name : str
        Host name in the file.
    kilobytes : int
        Least size of the content; a log section is filled up to it.
    seed : int

    Returns
    -------
    bytes
        UTF-8, with CRLF line ends for Windows.
    """
    rng = random.Random(f"{seed}/{family}/{name}")
    lines = [f"System Report for {name}", *_expanded(_HEADS[family], rng)]
    for section, content in _sections(_SECTIONS[family]):
        lines += _framed(section, _expanded(content, rng))
    log, common, rare = _LOGS[family]
    size = sum(map(len, lines)) + len(lines)
    lines += _framed(log, _filling(common, rare, rng, 1024 * kilobytes - size, len(log) + 3))
    end = "\r\n" if family == "Windows" else "\n"
    return (end.join(lines) + end).encode()


def _sections(template: str) -> Iterator[tuple[str, str]]:
    parts = re.split(r"^\[(\w+)\]\n", template, flags=re.MULTILINE)
    return zip(parts[1::2], parts[2::2], strict=True)


def _framed(name: str, content: Iterator[str]) -> Iterator[str]:
    yield f"#[BEGIN]: {name}"
    yield f"###Running: collect {name}"
    yield from (f"{name}::{line}" for line in content)
    yield f"#[END]: {name}"


def _expanded(template: str, rng: random.Random) -> Iterator[str]:
    for line in template.removesuffix("\n").split("\n"):
        share, mark, rest = line.partition("% ")
        if not (mark and share.isdecimal()):
            yield _chosen(line, rng)
        elif rng.random() * 100 < int(share):
            yield _chosen(rest, rng)


def _chosen(line: str, rng: random.Random) -> str:
    def one(match: re.Match[str]) -> str:
        low, dots, high = match[1].partition("..")
        return str(rng.randint(int(low), int(high))) if dots else rng.choice(match[1].split("|"))

    return _CHOICE.sub(one, line)


def _filling(common: str, rare: str, rng: random.Random, size: int, beside: int) -> Iterator[str]:
    """Log lines until there are enough bytes; ``beside`` is what each line has besides its text."""
    while size > 0:
        line = _chosen(rare if rng.random() < 0.01 else common, rng)
        size -= len(line) + beside
        yield line
