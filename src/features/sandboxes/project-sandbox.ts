/** The sandbox of one project as the node that holds it has it: what runs in it, and whether anybody uses it. */
import type { Lease } from '../../cluster/lease.ts';
import type { Sandbox } from '../../sandbox/driver.ts';
import { orAborted } from '../../sandbox/requests.ts';
import type { SandboxStatus } from './shapes.ts';

/** How long an agent may take to say how much was written. */
const ANSWER_MS = 5_000;

/** What makes a sandbox more than a container: its terminals, the files' sync, tunnels. */
export interface SandboxPart {
  /** Somebody uses it now. */
  isBusy?(): boolean;
  /**
   * Before what is in the sandbox goes: brings what programs have just written to where it stays, within a few seconds.
   * Gives the paths of /work that cannot be brought there; undefined where there was not enough time for the others.
   */
  settle?(): Promise<string[] | undefined>;
  /** Before the sandbox is ended, or left to the next node that holds it. It may be gone already. Never rejects. */
  close(how: 'ended' | 'left'): Promise<void>;
}

/** What parts know of the sandbox that they belong to. */
export interface RunningSandbox {
  readonly projectId: string;
  /** The project's owner when it was started. */
  readonly ownerId: string;
  readonly sandbox: Sandbox;
  /** Somebody has used it just now. */
  touch(): void;
  /** Resolves when it is not paused (any more). Counts as use. */
  awake(): Promise<void>;
  /** Counts as use until the returned function is called. */
  hold(): () => void;
}

export interface ProjectSandboxDeps {
  projectId: string;
  ownerId: string;
  sandbox: Sandbox;
  lease: Lease;
  /** When it was made or adopted, in milliseconds since 1970. */
  startedAtMs: number;
  now: () => number;
  onStatus: (status: SandboxStatus) => void;
}

export class ProjectSandbox<P extends Record<string, SandboxPart>> implements RunningSandbox {
  readonly projectId: string;
  readonly ownerId: string;
  readonly sandbox: Sandbox;
  readonly lease: Lease;
  readonly startedAtMs: number;
  readonly #now: () => number;
  readonly #onStatus: (status: SandboxStatus) => void;
  #parts: P | undefined;
  #usedAtMs: number;
  #isPaused = false;
  #holders = 0;
  /** Pausing and going on, one after the other. */
  #change: Promise<void> = Promise.resolve();
  /** How far its terminals had written when that was looked at last. */
  #written = 0;

  constructor({ projectId, ownerId, sandbox, lease, startedAtMs, now, onStatus }: ProjectSandboxDeps) {
    this.projectId = projectId;
    this.ownerId = ownerId;
    this.sandbox = sandbox;
    this.lease = lease;
    this.startedAtMs = startedAtMs;
    this.#now = now;
    this.#onStatus = onStatus;
    this.#usedAtMs = now();
  }

  get parts(): P {
    if (!this.#parts) throw new Error('The parts of a sandbox are asked for before they are there');
    return this.#parts;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  async begin(makeParts: (running: RunningSandbox) => Promise<P>): Promise<void> {
    this.#parts = await makeParts(this);
  }

  touch(): void {
    this.#usedAtMs = this.#now();
  }

  async awake(): Promise<void> {
    this.touch();
    if (this.#isPaused) await this.#changeTo(false);
  }

  hold(): () => void {
    let isHeld = true;
    this.#holders++;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      this.#holders--;
      this.touch();
    };
  }

  /** How long nobody has used it; programs that write to their terminals use it. */
  async idleMs(): Promise<number> {
    if (this.#holders > 0 || Object.values(this.parts).some((part) => part.isBusy?.())) this.touch();
    else if (!this.#isPaused && this.sandbox.link.isConnected) {
      // An agent that does not answer has nothing to tell.
      const asked = orAborted(this.sandbox.link.written(), AbortSignal.timeout(ANSWER_MS));
      const written = await asked.catch(() => this.#written);
      if (written !== this.#written) this.touch();
      this.#written = written;
    }
    return this.#now() - this.#usedAtMs;
  }

  /** Rejects where the driver cannot. */
  pause(): Promise<void> {
    return this.#changeTo(true);
  }

  /** As the parts do it. */
  async settle(): Promise<string[] | undefined> {
    const leftOut: (string[] | undefined)[] = [];
    for (const part of Object.values(this.#parts ?? {})) if (part.settle) leftOut.push(await part.settle());
    return leftOut.includes(undefined) ? undefined : leftOut.flatMap((paths) => paths ?? []);
  }

  async closeParts(how: 'ended' | 'left'): Promise<void> {
    for (const part of Object.values(this.#parts ?? {}).reverse()) await part.close(how);
  }

  #changeTo(isPaused: boolean): Promise<void> {
    const change = this.#change.then(async () => {
      if (this.#isPaused === isPaused) return;
      await (isPaused ? this.sandbox.pause() : this.sandbox.resume());
      this.#isPaused = isPaused;
      this.#onStatus(isPaused ? 'paused' : 'running');
    });
    this.#change = change.catch(() => {});
    return change;
  }
}
