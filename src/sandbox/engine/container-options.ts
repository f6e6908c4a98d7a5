/** What a sandbox's container is given, and what it is kept from. All of them are alike but for what a request says. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type Docker from 'dockerode';
import type { Role } from '../agent-protocol/index.ts';
import { SOCKET_NAME } from '../agent-socket.ts';
import type { SandboxHelpers, SandboxKind, SandboxLimits } from '../driver.ts';

/** Users that sandboxes run as, each another one: limits that count by user must not be shared. As in the image. */
export const USERS = { first: 20_000, count: 512 };

export const WORK_DIR = '/work';
export const HOME_DIR = '/home/dev';
const TEMPORARY_DIR = `${HOME_DIR}/.tmp`;
const SOCKET_DIR = '/run/atelier';

/**
 * All sandboxes of a machine share its terminals, some thousands, and one program could open them all: only the agent
 * may, which has a limit of its own, unless the sandbox gets one (`own-terminals.ts`).
 */
const CLOSE_TERMINALS = 'chmod 600 /dev/pts/ptmx';
const AGENT = ['/usr/local/bin/node', '/opt/atelier/agent/sandbox/agent/main.js'];

/**
 * For what runs before the sandbox's user does, who may put programs and modules into the home: the image's settings are
 * for that user.
 */
const ROOT_ENVIRONMENT = ['PATH=/usr/local/bin:/usr/bin:/bin', 'HOME=/root'];

/** Where the agent listens for package managers, as the image tells them. */
const LISTENERS = 'npm:4873,pip:3141';

/** What the image has beside the agent for the server to run as the sandbox's user. */
export const HELPERS: SandboxHelpers = {
  files: ['node', '/opt/atelier/agent/sandbox/agent/files/main.js'],
  ports: ['/opt/atelier/listening-ports'],
};

/** What the agent needs: to start shells as another user, give them their terminals and end them. */
const CAPABILITIES = ['SETUID', 'SETGID', 'SETPCAP', 'CHOWN', 'KILL'];

const MIB = 1024 * 1024;
/** Small files of programs that insist on /tmp; TMPDIR is where there is room. */
const TMP = `rw,noexec,nosuid,nodev,mode=1777,size=${64 * MIB},nr_inodes=16384`;
/** Memory that processes share, as browsers and databases do. */
const SHM_BYTES = 64 * MIB;
/** One file; a larger write ends its program. */
const FILE_BYTES = 1024 * MIB;
/** Open files of one process: enough to watch a large project. */
const OPEN_FILES = 16_384;
/** Files and directories of a volume in memory: what a large node_modules has. */
const VOLUME_FILES = 400_000;
/** The machine's own programs are ended after any sandbox when memory runs out. */
const OOM_SCORE = 500;
/** Shells are ended before the agent, which tells their readers of it. */
const SHELL_OOM_SCORE = 1_000;

export const LABELS = {
  instance: 'atelier.instance',
  sandbox: 'atelier.sandbox',
  kind: 'atelier.kind',
  uid: 'atelier.uid',
  volume: 'atelier.volume',
} as const;

/** Decided once, where the server is put together. */
export interface ContainerSetting {
  image: string;
  /** Of this deployment: others may use the same engine. */
  instanceId: string;
  /** The same folder for this server and for the engine. */
  sandboxDir: string;
}

export interface ContainerRequest {
  /** The sandbox's. */
  id: string;
  kind: SandboxKind;
  limits: SandboxLimits;
  /** One of `USERS`. */
  uid: number;
  /** What holds /work and the home: a mounted volume of that name, or memory. */
  volume: string | undefined;
  /** What the agent begins with, which connects to this server's socket; undefined where it is run afterwards. */
  agent: AgentStart | undefined;
}

export interface AgentStart {
  secret: string;
  fence: number;
}

/** Where the sandbox's socket is, for this server. */
export const socketDirectory = (sandboxDir: string, id: string): string => join(sandboxDir, id);

/** Where a volume is mounted while a container is started with it. */
export const volumeDirectory = (sandboxDir: string, volume: string): string => join(sandboxDir, 'volumes', volume);

/** The name keeps two containers of one engine from having the same user. */
export const containerName = (uid: number): string => `atelier-sandbox-${uid}`;

/** Of this kernel, which is the engine's. There the engine takes ::1 from a container without a network. */
const HAS_IPV6 = existsSync('/proc/sys/net/ipv6');

/**
 * The command line that runs a program as the sandbox's user, without any privilege. Until then it is root's, so that
 * nothing of it is looked for where that user puts programs.
 */
export function asUser(uid: number, argv: readonly string[]): string[] {
  const killedFirst = ['/usr/bin/choom', '-n', String(SHELL_OOM_SCORE), '--'];
  const ids = [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups'];
  return [...killedFirst, '/usr/bin/setpriv', ...ids, '--bounding-set=-all', '--no-new-privs', '--', ...argv];
}

/** The allow-list of system calls, as the engine takes it. */
export async function readSeccompProfile(): Promise<string> {
  const text = await readFile(new URL('../../../sandbox/seccomp.json', import.meta.url), 'utf8');
  return JSON.stringify(JSON.parse(text));
}

export function containerOptions(
  { image, instanceId, sandboxDir }: ContainerSetting,
  { id, kind, limits, uid, volume, agent }: ContainerRequest,
  seccomp: string,
): Docker.ContainerCreateOptions {
  const inMemory = volume === undefined;
  const bind = (source: string, target: string, isReadOnly: boolean): Docker.MountSettings => ({
    Type: 'bind',
    Source: source,
    Target: target,
    ReadOnly: isReadOnly,
    BindOptions: { Propagation: 'rprivate' },
  });
  const socketBinds = agent ? [bind(socketDirectory(sandboxDir, id), SOCKET_DIR, true)] : [];
  const volumeBinds = inMemory
    ? []
    : [
        bind(join(volumeDirectory(sandboxDir, volume), 'work'), WORK_DIR, false),
        bind(join(volumeDirectory(sandboxDir, volume), 'home'), HOME_DIR, false),
      ];
  return {
    name: containerName(uid),
    Image: image,
    Cmd: ['/bin/sh', '-c', `${CLOSE_TERMINALS} && exec ${agent ? AGENT.join(' ') : 'sleep infinity'}`],
    User: '0:0',
    Hostname: 'sandbox',
    WorkingDir: '/',
    Env: agent ? agentEnvironment(agent, `${SOCKET_DIR}/${SOCKET_NAME}`) : ROOT_ENVIRONMENT,
    Labels: {
      [LABELS.instance]: instanceId,
      [LABELS.sandbox]: id,
      [LABELS.kind]: kind,
      [LABELS.uid]: String(uid),
      ...(volume === undefined ? {} : { [LABELS.volume]: volume }),
    },
    HostConfig: {
      Init: true,
      // And not `NetworkDisabled`: without a network of the engine's there is no /etc/hosts, and so no `localhost`, on
      // which development servers listen.
      NetworkMode: 'none',
      ...(HAS_IPV6 ? { Sysctls: { 'net.ipv6.conf.lo.disable_ipv6': '0' } } : {}),
      CapDrop: ['ALL'],
      CapAdd: CAPABILITIES,
      SecurityOpt: ['no-new-privileges', `seccomp=${seccomp}`],
      ReadonlyRootfs: true,
      Mounts: [...socketBinds, ...volumeBinds] as never,
      Tmpfs: { '/tmp': TMP, ...(inMemory ? volumesInMemory(limits, uid) : {}) },
      // This server's, whose socket its agent may use; shells have no groups.
      GroupAdd: [String(process.getgid?.() ?? 0)],
      Memory: limits.memoryBytes,
      MemorySwap: limits.memoryBytes,
      NanoCpus: Math.round(limits.cpus * 1e9),
      PidsLimit: limits.processes,
      ShmSize: SHM_BYTES,
      Ulimits: [
        { Name: 'nofile', Soft: OPEN_FILES, Hard: OPEN_FILES },
        { Name: 'core', Soft: 0, Hard: 0 },
        { Name: 'fsize', Soft: FILE_BYTES, Hard: FILE_BYTES },
      ],
      OomScoreAdj: OOM_SCORE,
      IpcMode: 'private',
      LogConfig: { Type: 'none', Config: {} },
      RestartPolicy: { Name: 'no' },
    },
  };
}

/** What runs an agent for one role in a container that waits for it: its stdin and stdout are the connection. */
export const agentExec = (agent: AgentStart, role: Role): Docker.ExecCreateOptions => ({
  Cmd: AGENT,
  Env: [...agentEnvironment(agent, '-'), `ATELIER_ROLES=${role}`],
  User: '0:0',
  WorkingDir: '/',
  AttachStdin: true,
  AttachStdout: true,
  AttachStderr: true,
});

const agentEnvironment = ({ secret, fence }: AgentStart, socket: string): string[] => [
  ...ROOT_ENVIRONMENT,
  `ATELIER_SOCKET=${socket}`,
  `ATELIER_SECRET=${secret}`,
  `ATELIER_FENCE=${fence}`,
  `ATELIER_LISTEN=${LISTENERS}`,
];

/** Half of the volume for the project, half for the home and what is temporary. */
function volumesInMemory({ volumeBytes }: SandboxLimits, uid: number): Record<string, string> {
  const options = (bytes: number, files: number): string =>
    `rw,exec,nosuid,nodev,mode=0755,uid=${uid},gid=${uid},size=${Math.floor(bytes)},nr_inodes=${files}`;
  return {
    [WORK_DIR]: options(volumeBytes / 2, VOLUME_FILES / 2),
    [HOME_DIR]: options(volumeBytes / 4, VOLUME_FILES / 4),
    [TEMPORARY_DIR]: options(volumeBytes / 4, VOLUME_FILES / 4),
  };
}
