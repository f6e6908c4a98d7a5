/** The terminals of a sandbox that this node has. */
import { setMaxListeners } from 'node:events';
import type { Log } from '../../observability/log.ts';
import { Fault, LIMITS, projectRoom, terminalRoom, type Rooms } from '../../protocol/index.ts';
import type { AgentLink, LinkedTerminal } from '../../sandbox/agent-link.ts';
import { agentOutput } from './agent-output.ts';
import { endOf } from './exit.ts';
import type { Size, TerminalInfo, terminalsEvents } from './contract.ts';
import type { OfTerminal, OpenTerminal, TerminalEnd, TerminalFrame, TerminalOwner } from './owner.ts';
import { Recorder } from './recorder.ts';
import type { Recordings } from './recordings.ts';
import { shellRequest, type ShellSandbox } from './shell-request.ts';
import { isSameSize, smallestOf } from './shared-size.ts';
import { openerOf, projectOf } from './terminal-id.ts';

export interface LocalOwnerDeps {
  projectId: string;
  sandbox: ShellSandbox & { readonly link: AgentLink };
  /** Resolves when the sandbox is not paused. */
  awake: () => Promise<void>;
  rooms: Rooms<typeof terminalsEvents>;
  recordings: Pick<Recordings, 'store'>;
  log: Log;
  now: () => number;
}

/** How long an agent that has not been heard of may take: it tries again every second. */
const AGENT_MS = 5_000;

export class LocalOwner implements TerminalOwner {
  readonly #deps: LocalOwnerDeps;
  readonly #link: AgentLink;
  /** Aborts when there is nothing here any more; its reason is an error, or how the terminals ended. */
  readonly #over = new AbortController();
  /** What terminals run; of those before a restart it is not known. */
  readonly #commands = new Map<string, string>();
  readonly #opening = new Set<string>();
  /** When they were closed, for a while. */
  readonly #closedAtMs = new Map<string, number>();
  /** By terminal and node, what its writers show. */
  readonly #sizes = new Map<string, Map<string, Size>>();
  #readers = 0;
  readonly #recorders = new Map<string, { recorder: Recorder; end: () => Promise<void> }>();

  constructor(deps: LocalOwnerDeps) {
    this.#deps = deps;
    this.#link = deps.sandbox.link;
    // Every reader waits for it: dozens are no leak.
    setMaxListeners(0, this.#over.signal);
  }

  async open(request: OpenTerminal): Promise<TerminalInfo> {
    const { terminalId, command } = request;
    await this.#ready();
    if (this.#closedAtMs.has(terminalId)) throw new Fault('conflict', 'This terminal was closed');
    const isNew = !this.#find(terminalId) && !this.#opening.has(terminalId);
    const shell = shellRequest(this.#deps.sandbox, request);
    if (!isNew) {
      await this.#link.open(shell);
      return this.get(request);
    }
    this.#makeRoom(openerOf(terminalId));
    this.#opening.add(terminalId);
    try {
      await this.#link.open(shell);
    } finally {
      this.#opening.delete(terminalId);
    }
    if (command !== undefined) this.#commands.set(terminalId, command);
    const info = this.#infoOf(this.#require(terminalId));
    this.#deps.rooms.emit(projectRoom(this.#deps.projectId), 'terminal:opened', info);
    return info;
  }

  async get({ terminalId }: OfTerminal): Promise<TerminalInfo> {
    await this.#ready();
    return this.#infoOf(this.#require(terminalId));
  }

  async list(): Promise<TerminalInfo[]> {
    await this.#ready();
    return this.#terminals().map((terminal) => this.#infoOf(terminal));
  }

  async input({ terminalId, data }: OfTerminal & { data: Uint8Array }): Promise<void> {
    await this.#ready();
    if (this.#require(terminalId).exit) throw new Fault('conflict', 'This terminal has ended');
    this.#link.input(terminalId, data);
  }

  async resize({ terminalId, nodeId, size }: OfTerminal & { nodeId: string; size?: Size | undefined }): Promise<Size> {
    await this.#ready();
    this.#require(terminalId);
    const sizes = this.#sizes.get(terminalId) ?? new Map<string, Size>();
    this.#sizes.set(terminalId, sizes);
    if (size) sizes.set(nodeId, size);
    else sizes.delete(nodeId);
    return this.#fit(terminalId);
  }

  async signal({ terminalId, signal }: Parameters<TerminalOwner['signal']>[0]): Promise<void> {
    await this.#ready();
    this.#require(terminalId);
    this.#link.signal(terminalId, signal);
  }

  async close({ terminalId }: OfTerminal): Promise<void> {
    await this.#ready();
    this.#require(terminalId);
    // What it could not store is logged.
    await this.#recorders
      .get(terminalId)
      ?.end()
      .catch(() => {});
    // Somebody else may have closed it meanwhile.
    if (this.#find(terminalId)) this.#close(terminalId);
  }

  async record({ terminalId, on }: Parameters<TerminalOwner['record']>[0]): ReturnType<TerminalOwner['record']> {
    await this.#ready();
    const running = this.#recorders.get(terminalId);
    if (on === false) await running?.end();
    if (on === true && !running) this.#startRecorder(this.#require(terminalId));
    const { recorder } = this.#recorders.get(terminalId) ?? {};
    if (!recorder) return { isOn: false };
    const { sizeBytes, startedAtMs } = recorder;
    return { isOn: true, sizeBytes, startedAt: new Date(startedAtMs).toISOString() };
  }

  async *read(
    { terminalId, after }: OfTerminal & { after: number },
    signal: AbortSignal,
  ): AsyncGenerator<TerminalFrame, void, undefined> {
    await this.#ready(signal);
    if (signal.aborted) return;
    if (!this.#find(terminalId)) {
      yield { type: 'exited', end: this.#endOfLost(terminalId) };
      return;
    }
    this.#readers++;
    try {
      yield* agentOutput({
        link: this.#link,
        terminalId,
        after,
        signal,
        over: this.#over.signal,
        endOfLost: () => this.#endOfLost(terminalId),
      });
    } finally {
      this.#readers--;
    }
  }

  /** Whether anybody reads a terminal here. */
  get isWatched(): boolean {
    return this.#readers > 0;
  }

  /** A node is gone, and its viewers with it. */
  forgetNode(nodeId: string): void {
    for (const [terminalId, sizes] of this.#sizes) {
      if (sizes.delete(nodeId) && this.#find(terminalId)) this.#fit(terminalId);
    }
  }

  /** Resolves when what was recorded is stored. `moved`: viewers look for another owner. `lost`: the sandbox is no more. */
  async stop(how: 'moved' | 'lost'): Promise<void> {
    this.#over.abort(how === 'lost' ? LOST : new Fault('unavailable', 'The sandbox goes to another server'));
    await Promise.allSettled([...this.#recorders.values()].map(({ end }) => end()));
  }

  async #ready(signal?: AbortSignal): Promise<void> {
    if (this.#over.signal.aborted) throw new Fault('unavailable', 'This server has the sandbox no more');
    await this.#deps.awake();
    if (this.#link.isConnected) return;
    const late = new AbortController();
    const give = (): void => late.abort(new Fault('unavailable', 'The sandbox does not answer'));
    const timer = setTimeout(give, AGENT_MS);
    signal?.addEventListener('abort', give);
    try {
      await this.#link.connected(late.signal);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', give);
    }
  }

  #terminals(): LinkedTerminal[] {
    const { projectId } = this.#deps;
    return this.#link.terminals().filter(({ id }) => projectOf(id) === projectId);
  }

  #find(terminalId: string): LinkedTerminal | undefined {
    return this.#terminals().find(({ id }) => id === terminalId);
  }

  #require(terminalId: string): LinkedTerminal {
    const terminal = this.#find(terminalId);
    if (!terminal) throw new Fault('not_found', 'There is no such terminal');
    return terminal;
  }

  #infoOf({ id, columns, rows, exit }: LinkedTerminal): TerminalInfo {
    const command = this.#commands.get(id);
    return {
      terminalId: id,
      projectId: projectOf(id),
      userId: openerOf(id),
      ...(command === undefined ? {} : { command }),
      size: { cols: columns, rows },
      ...(exit ? { exit: endOf(exit) } : {}),
    };
  }

  /** Those that have ended stay for whoever wants to see them, until their places are needed. */
  #makeRoom(userId: string): void {
    const own = this.#terminals().filter(({ id }) => openerOf(id) === userId);
    const opening = [...this.#opening].filter((id) => openerOf(id) === userId && !own.some((other) => other.id === id));
    const ended = own.filter(({ exit }) => exit);
    for (let places = own.length + opening.length; places >= LIMITS.terminalsPerUser; places--) {
      const oldest = ended.shift();
      if (!oldest) {
        throw new Fault('quota_exceeded', `You have ${LIMITS.terminalsPerUser} terminals open in this project`);
      }
      this.#close(oldest.id);
    }
  }

  #close(terminalId: string): void {
    const { projectId, rooms, now } = this.#deps;
    for (const [id, atMs] of this.#closedAtMs) {
      if (now() - atMs >= LIMITS.terminalRememberedMs) this.#closedAtMs.delete(id);
    }
    this.#closedAtMs.set(terminalId, now());
    this.#commands.delete(terminalId);
    this.#sizes.delete(terminalId);
    this.#link.close(terminalId);
    rooms.emit(projectRoom(projectId), 'terminal:closed', { terminalId, projectId });
  }

  /** Makes it as small as the smallest of its writers. */
  #fit(terminalId: string): Size {
    const { columns, rows } = this.#require(terminalId);
    const present = { cols: columns, rows };
    const wanted = smallestOf(this.#sizes.get(terminalId)?.values() ?? []) ?? present;
    if (isSameSize(wanted, present)) return present;
    this.#link.resize(terminalId, { columns: wanted.cols, rows: wanted.rows });
    this.#recorders.get(terminalId)?.recorder.resized(wanted);
    this.#deps.rooms.emit(terminalRoom(terminalId), 'terminal:resized', { terminalId, size: wanted });
    return wanted;
  }

  #endOfLost(terminalId: string): TerminalEnd {
    return this.#closedAtMs.has(terminalId) ? { ...UNKNOWN, reason: 'closed' } : LOST;
  }

  #startRecorder({ id, columns, rows }: LinkedTerminal): void {
    if (this.#recorders.size >= LIMITS.terminalRecordings) {
      throw new Fault('quota_exceeded', `At most ${LIMITS.terminalRecordings} recordings of a project at once`);
    }
    const { recordings, log, now } = this.#deps;
    const recorder = new Recorder({ cols: columns, rows }, now);
    const stopping = new AbortController();
    const recording = (async () => {
      try {
        // No terminal gets so far, so it begins with the screen as it is.
        for await (const frame of this.read({ terminalId: id, after: Number.MAX_SAFE_INTEGER }, stopping.signal)) {
          recorder.take(frame);
          if (recorder.isFull) break;
        }
      } catch (error) {
        if (!(error instanceof Fault)) log.error('A recording of a terminal broke', { error });
      }
      await recordings.store(id, recorder.content()).finally(() => this.#recorders.delete(id));
    })();
    recording.catch((error: unknown) => log.warn('A recording of a terminal could not be stored', { error }));
    this.#recorders.set(id, {
      recorder,
      end() {
        stopping.abort();
        return recording;
      },
    });
  }
}

const UNKNOWN = { code: null, signal: null };
const LOST: TerminalEnd = { ...UNKNOWN, reason: 'lost' };
