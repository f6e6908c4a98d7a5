/** The runs of this node: under way, and for a while after their end. */
import { LIMITS, Fault, runRoom, type Rooms } from '../../protocol/index.ts';
import type { Log } from '../../observability/log.ts';
import type { SandboxProcess } from '../../sandbox/agent-streams.ts';
import type { codeEvents, Ended, Piece } from './contract.ts';
import { Run, type RunLimits } from './run.ts';

export interface Launched {
  process: SandboxProcess;
  ranOutOfMemory: () => Promise<boolean>;
  /** When it has ended: its sandbox can go. */
  end: () => Promise<void>;
}

export interface RunsDeps {
  rooms: Pick<Rooms<typeof codeEvents>, 'emit' | 'leave'>;
  log: Log;
}

export interface RunState {
  pieces: Piece[];
  /** The end of its output so far. */
  offset: number;
  ended?: Ended;
}

export interface RunResult extends Ended {
  stdout: string;
  stderr: string;
}

export class Runs {
  readonly #deps: RunsDeps;
  readonly #runs = new Map<string, Run>();
  /** What has to be over before this node ends. */
  readonly #ending = new Set<Promise<void>>();
  readonly #timers = new Set<NodeJS.Timeout>();

  constructor(deps: RunsDeps) {
    this.#deps = deps;
  }

  /** Starts a run under its id, and reads it to its end by itself. Rejects when it cannot be started. */
  async begin(
    runId: string,
    launch: () => Promise<Launched>,
    { stdin, limits }: { stdin?: string | undefined; limits: RunLimits },
  ): Promise<void> {
    const { rooms, log } = this.#deps;
    const { process, ranOutOfMemory, end } = await launch();
    const room = runRoom(runId);
    const events = {
      onOutput: (piece: Piece) => rooms.emit(room, 'code:output', { runId, ...piece }),
      onEnded: (ended: Ended) => {
        rooms.emit(room, 'code:exited', { runId, ...ended });
        rooms.leave({ room }, room);
      },
    };
    const run = new Run(process, limits, events, ranOutOfMemory);
    this.#runs.set(runId, run);
    const ending: Promise<void> = run
      .run(stdin)
      .then(end)
      .catch((error: unknown) => log.warn('what a run was in could not be ended', { error }))
      .finally(() => {
        this.#ending.delete(ending);
        const timer = setTimeout(() => {
          this.#timers.delete(timer);
          this.#runs.delete(runId);
        }, LIMITS.runKeptMs).unref();
        this.#timers.add(timer);
      });
    this.#ending.add(ending);
  }

  state(runId: string, after: number): RunState {
    const { output, ended } = this.#get(runId);
    return { pieces: output.after(after), offset: output.end, ...(ended ? { ended } : {}) };
  }

  stop(runId: string): void {
    this.#get(runId).stop();
  }

  /** All of it, once it has ended. */
  async result(runId: string): Promise<RunResult> {
    const run = this.#get(runId);
    const ended = await run.finished;
    return { ...ended, stdout: run.output.text('stdout'), stderr: run.output.text('stderr') };
  }

  /** Ends all that is under way. */
  async close(): Promise<void> {
    for (const run of this.#runs.values()) run.stop();
    await Promise.all(this.#ending);
    for (const timer of this.#timers) clearTimeout(timer);
  }

  #get(runId: string): Run {
    const run = this.#runs.get(runId);
    if (!run) throw new Fault('not_found', 'There is no such run any more');
    return run;
  }
}
