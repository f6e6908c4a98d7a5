/**
 * What runs sandboxes, as the rest of the server sees it: containers of a Docker engine, or processes of this machine.
 * Drivers differ in how the agent is started and what keeps it in; whatever talks to the agent is the same for all.
 */
import type { AgentLink } from './agent-link.ts';

/**
 * `docker`: containers whose agents connect to this server's socket, and outlive it. `docker-exec`: containers of an
 * engine that cannot bind that socket; what runs in them ends with this server's connection. `local`: processes of this
 * machine, without any isolation.
 */
export type DriverKind = 'docker' | 'docker-exec' | 'local';

/** A project's computer, or one that runs a snippet and goes. */
export type SandboxKind = 'project' | 'run';

export interface SandboxSpec {
  /** 16 hexadecimal digits: of its container, directory and, for a new one, its volume. */
  id: string;
  kind: SandboxKind;
  /** What is known when it is made: a warm one has no project yet. */
  projectId: string | undefined;
  /** The volume's name: 24 or 16 hexadecimal digits. It is made if it is not there. Undefined: nothing is kept. */
  volume: string | undefined;
  /** Of the lease under which it is made. */
  fence: number;
  limits: SandboxLimits;
}

export interface SandboxLimits {
  memoryBytes: number;
  /** Processors' time, 0.5 is half of one. */
  cpus: number;
  processes: number;
  volumeBytes: number;
}

/** Command lines of programs that serve the server; to be run as the sandbox's user. */
export interface SandboxHelpers {
  /** Does to the files what it is asked for, see `createSandboxDisk`. */
  files: readonly string[];
  /** Tells which ports programs listen on, see `watchPorts`; undefined where that cannot be told. */
  ports: readonly string[] | undefined;
}

/** A sandbox that runs. */
export interface Sandbox {
  readonly id: string;
  /** Its terminals, processes and ports. */
  readonly link: AgentLink;
  /** Where the project's files are, and its user's home. */
  readonly workDir: string;
  readonly homeDir: string;
  /** The environment of every program in it. */
  readonly env: Readonly<Record<string, string>>;
  /** Whom terminals' devices are given to; undefined where programs run as the agent does. */
  readonly owner: { uid: number; gid: number } | undefined;
  readonly helpers: SandboxHelpers;
  /** The command line that runs a program as the sandbox's user, without any privilege. */
  asUser(argv: readonly string[]): string[];
  /** Settles when it has ended without being asked to. */
  readonly ended: Promise<EndReason>;
  /** Stops the clock for all that runs in it; rejects where the driver cannot. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** Leaves it running, for the next server to adopt; a driver whose sandboxes do not outlive it removes it. */
  leave(): Promise<void>;
  /** Ends it. Its volume stays. Repeatable. */
  remove(): Promise<void>;
}

/** `memory`: it was ended for taking too much of it. */
export type EndReason = 'exited' | 'memory';

/** One of this deployment's on this machine, whoever made it. */
export interface FoundSandbox {
  id: string;
  kind: SandboxKind;
  state: 'running' | 'paused' | 'ended';
  volume: string | undefined;
}

export interface SandboxDriver {
  readonly kind: DriverKind;
  /** Whether its sandboxes outlive this server. */
  readonly survives: boolean;
  /** Whether one starts at once; otherwise the first start prepares it, which may take minutes. */
  readonly isReady: boolean;
  /** What holds the files: with a limit of its own, in memory, or nothing that limits them. */
  readonly volumes: 'quota' | 'memory' | 'unlimited';
  /** Rejects with `unavailable` when the engine, the image or room for it is missing. */
  start(spec: SandboxSpec, signal?: AbortSignal): Promise<Sandbox>;
  find(): Promise<FoundSandbox[]>;
  /**
   * Takes one that runs, or is paused, under a new fence; it runs then. Its agent connects by itself. Rejects with
   * `not_found` where it is gone.
   */
  adopt(id: string, fence: number): Promise<Sandbox>;
  /** Ends one that nobody holds, and what it leaves but its volume. Repeatable. */
  remove(id: string): Promise<void>;
  /** Deletes a volume that no sandbox uses. Repeatable. */
  removeVolume(volume: string): Promise<void>;
  /** What there is room for here in new volumes, in bytes; infinite where volumes take no room of their own. */
  roomBytes(): Promise<number>;
  /** Lets go of the engine; sandboxes are their owners'. */
  close(): Promise<void>;
}
