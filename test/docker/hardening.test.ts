/** What a sandbox's user may try, on a real engine, and what comes of it. */
import { expect, test } from 'vitest';
import { createDockerExecDriver } from '../../src/sandbox/drivers/docker-exec.ts';
import { view } from '../sandbox/agent-process.ts';
import { createDockerStage, openIn, outputOf, runIn, specOf } from '../support/docker.ts';

/** A line that runs this Python. */
const python = (program: string): string => `python3 - <<'END'\n${program}\nEND`;

test('shells reach neither the socket, nor the secret, nor the agent, and change nothing of the image', async () => {
  await using stage = await createDockerStage();
  const sandbox = await stage.sandbox();
  const { uid } = sandbox.owner ?? {};
  expect(
    await outputOf(sandbox, 'id -u; id -G; grep -h ^Cap /proc/self/status; grep NoNewPrivs /proc/self/status'),
  ).toBe(
    [
      uid,
      uid,
      ...['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'].map((name) => `${name}:\t0000000000000000`),
      'NoNewPrivs:\t1\n',
    ].join('\n'),
  );
  const tried = await outputOf(
    sandbox,
    `agent=$(pgrep -x node)
     ls /run/atelier; mv /run/atelier /run/other; ln -s /var/run/docker.sock /run/atelier/agent.sock
     cat /proc/$agent/environ; ls /proc/$agent/fd; cat /proc/1/environ; env | grep -i ATELIER
     kill -9 $agent; kill -STOP 1; kill -9 -1
     echo -500 > /proc/self/oom_score_adj
     touch /opt/atelier/x /usr/bin/x /etc/x /run/x /x`,
  );
  // Every one is refused, and the shell is the only one that hears its last signal.
  expect(tried.replaceAll(/^.*(Permission denied|Read-only file system|not permitted|are the same).*\n/gm, '')).toBe(
    '',
  );
  expect(await outputOf(sandbox, python(CONNECT))).toBe('PermissionError\n');
  expect(await outputOf(sandbox, 'cat /proc/self/oom_score_adj')).toBe('1000\n');
  expect(sandbox.link.isConnected).toBe(true);
});

test('programs in the home are nothing that root runs, however they are called, also not in the next sandbox', async () => {
  await using stage = await createDockerStage();
  const volume = 'c'.repeat(24);
  const driver = await stage.driver();
  const first = await driver.start(specOf({ volume }));
  const names = ['sh', 'chmod', 'node', 'choom', 'setpriv'];
  const trap =
    '#!/bin/bash\n[ $UID = 0 ] && echo $0 >> /tmp/by-root\nPATH=/usr/local/bin:/usr/bin:/bin exec ${0##*/} "$@"\n';
  await outputOf(
    first,
    `mkdir -p ~/.local/bin && cd ~/.local/bin && printf '${trap}' > sh && chmod 755 sh
     for name in ${names.slice(1).join(' ')}; do cp sh $name; done`,
  );
  expect(await outputOf(first, 'cat /tmp/by-root 2>&1; command -v choom')).toBe(
    'cat: /tmp/by-root: No such file or directory\n/home/dev/.local/bin/choom\n',
  );
  await first.remove();
  const second = await driver.start(specOf({ volume }));
  expect(await outputOf(second, 'cat /tmp/by-root 2>&1')).toBe('cat: /tmp/by-root: No such file or directory\n');
  await second.remove();
  await driver.removeVolume(volume);
});

const CONNECT = `
import socket
try:
  socket.socket(socket.AF_UNIX).connect("/run/atelier/agent.sock")
  print("connected")
except OSError as error:
  print(type(error).__name__)`;

test('there is no network, no metadata and no way around it', async () => {
  await using stage = await createDockerStage();
  const sandbox = await stage.sandbox();
  expect(await outputOf(sandbox, 'ls /sys/class/net')).toBe('lo\n');
  const program = `
import socket, errno
for address in ["169.254.169.254", "172.17.0.1", "1.1.1.1", "fd00:ec2::254"]:
  kind = socket.AF_INET6 if ":" in address else socket.AF_INET
  try:
    socket.create_connection((address, 80), 2)
    print("connected")
  except OSError as error:
    print(errno.errorcode[error.errno])
for family in [40, 17, 38]:
  try:
    socket.socket(family, socket.SOCK_STREAM)
    print("made")
  except OSError as error:
    print(errno.errorcode[error.errno])`;
  // The last three: the machine's own channel to its host, raw packets, the kernel's ciphers.
  expect(await outputOf(sandbox, python(program))).toBe(
    ['ENETUNREACH', 'ENETUNREACH', 'ENETUNREACH', 'ENETUNREACH', 'EPERM', 'EPERM', 'EPERM', ''].join('\n'),
  );
});

test('no namespace, mount, device, key or other process is to be had', async () => {
  await using stage = await createDockerStage();
  const sandbox = await stage.sandbox();
  const program = `
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *args):
  ctypes.set_errno(0)
  result = getattr(libc, name)(*args)
  print(name, errno.errorcode.get(ctypes.get_errno(), "done") if result == -1 else "done")
call("unshare", 0x10000000)
call("mount", b"none", b"/work", b"tmpfs", 0, None)
call("umount2", b"/work", 2)
call("mknod", b"device", 0o60666, 0x700)
call("mknod", b"pipe", 0o10600, 0)
call("chroot", b"/work")
call("ptrace", 0, 0, 0, 0)
call("syscall", 250, 0, 0, 0)
call("syscall", 425, 8, None)
call("syscall", 321, 0, None, 0)
call("syscall", 56, 0x10000000 | 17, 0, 0, 0, 0)
call("setuid", 0)
call("sethostname", b"x", 1)`;
  // By their numbers: keyctl, io_uring_setup, bpf, and clone into a new user namespace.
  expect(await outputOf(sandbox, python(program))).toBe(
    'unshare EPERM,mount EPERM,umount2 EPERM,mknod EPERM,mknod done,chroot EPERM,ptrace EPERM,syscall EPERM,syscall EPERM,syscall EPERM,syscall EPERM,setuid EPERM,sethostname EPERM,'.replaceAll(
      ',',
      '\n',
    ),
  );
  // With what is set to run as root.
  expect(await outputOf(sandbox, 'su -c id 2>&1 < /dev/null; umount /tmp 2>&1; echo $?')).not.toContain('uid=0');
});

test('a fork bomb takes its own sandbox only, which is used again once all is killed', async () => {
  await using stage = await createDockerStage();
  const sandbox = await stage.sandbox();
  const neighbour = await stage.sandbox();
  await runIn(sandbox, 'bomb', 'bomb() { bomb | bomb & }; trap "" HUP TERM; bomb; sleep 1000');
  const failed = async (): Promise<string> => {
    const id = `t${Math.random()}`;
    return sandbox.link.open({ id, argv: ['true'], env: {}, cwd: '/', columns: 80, rows: 24 }).then(
      () => 'opened',
      ({ code }: { code: string }) => code,
    );
  };
  await expect.poll(failed, { timeout: 20_000 }).toBe('unavailable');
  expect(await outputOf(neighbour, 'echo calm')).toBe('calm\n');
  await sandbox.link.killAll();
  await expect.poll(() => outputOf(sandbox, 'echo back').catch(() => ''), { timeout: 20_000 }).toBe('back\n');
  expect(sandbox.link.isConnected).toBe(true);
}, 60_000);

test('too much memory ends the program that takes it, and neither the agent nor the other terminals', async () => {
  await using stage = await createDockerStage();
  const sandbox = await stage.sandbox();
  const calm = await runIn(sandbox, 'calm', 'read line; echo "got $line"');
  expect(await outputOf(sandbox, `${python('x = bytearray(1 << 30)')}\necho "ended with $?"`)).toMatch(
    /ended with 137\n$/,
  );
  sandbox.link.input('calm', Buffer.from('hello\n'));
  await calm.ends();
  expect(calm.text()).toContain('got hello');
  expect(sandbox.link.isConnected).toBe(true);
});

test('a sandbox whose memory is taken for good ends, and says so', async () => {
  await using stage = await createDockerStage();
  const limits = { memoryBytes: 96 * 1024 * 1024, cpus: 1, processes: 64, volumeBytes: 256 * 1024 * 1024 };
  const sandbox = await stage.sandbox({ limits });
  void runIn(sandbox, 'flood', 'while :; do cat /dev/zero > "$((i++))"; done').catch(() => {});
  expect(await sandbox.ended).toBe('memory');
  await sandbox.remove();
});

test('disks are filled up to their limits, in bytes and in files, and then go on', async () => {
  await using stage = await createDockerStage();
  const driver = await stage.driver();
  for (const volume of [undefined, 'c'.repeat(24)]) {
    const sandbox = await driver.start(specOf({ volume }));
    for (const folder of ['/work', '/home/dev', '/tmp', '/dev/shm']) {
      const filled = await outputOf(
        sandbox,
        `cd ${folder}; cat /dev/zero > big; stat -c %s big; rm big; echo ok > small; cat small`,
      );
      const [error, size, word] = filled.split('\n');
      expect(error).toContain('No space left on device');
      expect(Number(size)).toBeLessThanOrEqual(64 * 1024 * 1024);
      expect(word).toBe('ok');
    }
    const program = `
import os
for folder in ["/work", "/tmp"]:
  os.mkdir(folder + "/flood")
  os.chdir(folder + "/flood")
  count = 0
  try:
    while count < 500000:
      os.close(os.open(str(count), os.O_CREAT | os.O_WRONLY))
      count += 1
  except OSError as error:
    print(folder, error.strerror, count < 300000)`;
    expect(await outputOf(sandbox, python(program))).toBe(
      '/work No space left on device True\n/tmp No space left on device True\n',
    );
    expect(await outputOf(sandbox, 'rm -r flood /tmp/flood; echo ok > small; cat small')).toBe('ok\n');
    expect(await outputOf(sandbox, 'cp /bin/true /tmp/true; /tmp/true; cp /bin/true true; ./true && echo ran')).toMatch(
      /\/tmp\/true: Permission denied\nran\n$/,
    );
    // More than one file may have.
    expect(await outputOf(sandbox, 'truncate -s 2G sparse; echo $?')).toMatch(/\b153\n$/);
    await sandbox.remove();
  }
  if (driver.volumes === 'quota') await driver.removeVolume('c'.repeat(24));
}, 60_000);

test('what the kernel counts by user or for the whole machine, one sandbox cannot take from another', async () => {
  await using stage = await createDockerStage();
  const sandbox = await stage.sandbox();
  const neighbour = await stage.sandbox();
  expect(sandbox.owner?.uid).not.toBe(neighbour.owner?.uid);
  const watchers = `
import ctypes
libc = ctypes.CDLL(None)
count = 0
while count < 10000 and libc.inotify_init1(0) >= 0:
  count += 1
print("exhausted" if count < 10000 else "endless", flush=True)
input()`;
  const greedy = await runIn(sandbox, 'greedy', `cat > watch.py <<'END'\n${watchers}\nEND\npython3 watch.py`);
  await greedy.sees('exhausted');
  const one = 'import ctypes; print(ctypes.CDLL(None).inotify_init1(0) >= 0)';
  expect(await outputOf(sandbox, `python3 -c '${one}'`)).toBe('False\n');
  expect(await outputOf(neighbour, `python3 -c '${one}'`)).toBe('True\n');
  // Of terminals there are a few thousand for all.
  const terminals = `
import os
count = 0
try:
  while count < 10000:
    os.openpty()
    count += 1
except OSError:
  print("of its own" if 60 < count < 100 else count, flush=True)
input()`;
  const greedier = await runIn(sandbox, 'greedier', `cat > open.py <<'END'\n${terminals}\nEND\npython3 open.py`);
  await greedier.sees('of its own');
  expect(await outputOf(neighbour, 'tty')).toMatch(/^\/dev\/pts\/\d+\n$/);
  expect(await outputOf(neighbour, 'script -qc "tmux -V; tty" /dev/null')).toMatch(/^tmux .*\n\/dev\/pts\/\d+\n$/);
});

test('where no limit can be set, programs have no terminals of their own', async () => {
  await using stage = await createDockerStage(undefined, createDockerExecDriver);
  const sandbox = await stage.sandbox();
  expect(await outputOf(sandbox, "python3 -c 'import os; os.openpty()' 2>&1 | tail -n 1")).toMatch(/Error/);
  expect(await outputOf(sandbox, 'tty')).toMatch(/^\/dev\/pts\/\d+\n$/);
});

test('a flood of output stops where nobody reads it, and a neighbour does not feel it', async () => {
  await using stage = await createDockerStage();
  const sandbox = await stage.sandbox();
  const neighbour = await stage.sandbox();
  const program = `
import os
written = 0
report = os.open("written", os.O_CREAT | os.O_WRONLY, 0o666)
while True:
  written += os.write(1, b"x" * 1023 + b"\\n")
  os.pwrite(report, str(written).encode(), 0)`;
  const floods = [1, 2, 3, 4].map((n) => `flood-${n}`);
  for (const id of floods) {
    const own = program.replace('"written"', `"${id}"`);
    await openIn(sandbox, id, `read go; ${python(own)}`);
    // Takes a little, and then nothing.
    view(sandbox.link, id, { creditBytes: 1_000, keepsUp: false });
    sandbox.link.input(id, Buffer.from('go\n'));
  }
  const echo = await runIn(neighbour, 'echo', 'stty -echo; while read line; do echo "<$line>"; done');
  for (let i = 0; i < 50; i++) {
    neighbour.link.input('echo', Buffer.from(`${i}\n`));
    await echo.sees(`<${i}>`);
  }
  const written = (): Promise<string> => outputOf(sandbox, 'for f in flood-*; do cat $f; echo; done');
  let last = '';
  // Stands still.
  await expect
    .poll(
      async () => {
        const [before, now] = [last, await written()];
        last = now;
        return before === now;
      },
      { interval: 200, timeout: 20_000 },
    )
    .toBe(true);
  const totals = last.trim().split('\n').map(Number);
  expect(totals.length).toBe(4);
  for (const bytes of totals) {
    expect(bytes).toBeGreaterThan(0);
    expect(bytes).toBeLessThan(1024 * 1024);
  }
  expect(sandbox.link.isConnected).toBe(true);
});

test('keys that detach from a container are keys like others', async () => {
  await using stage = await createDockerStage();
  const sandbox = await stage.sandbox();
  const viewer = await runIn(sandbox, 't', 'stty raw -echo; echo ready; head -c 4 | od -An -tx1');
  await viewer.sees('ready');
  sandbox.link.input('t', Buffer.from([0x10, 0x11, 0x10, 0x11]));
  await viewer.ends();
  expect(viewer.text()).toContain('10 11 10 11');
});

test('what shells leave behind ends with their terminal, or with all', async () => {
  await using stage = await createDockerStage();
  const sandbox = await stage.sandbox();
  const viewer = await runIn(
    sandbox,
    't',
    'nohup sleep 1001 > /dev/null 2>&1 & setsid -f sleep 1002; echo left; sleep 1003',
  );
  await viewer.sees('left');
  const sleeping = (): Promise<string> => outputOf(sandbox, 'pgrep -a sleep | grep -o "100." | sort');
  expect(await sleeping()).toBe('1001\n1002\n1003\n');
  sandbox.link.close('t');
  await expect.poll(sleeping, { timeout: 5_000 }).toBe('1002\n');
  expect(await sandbox.link.killAll()).toBeGreaterThan(0);
  expect(await sleeping()).toBe('');
});
