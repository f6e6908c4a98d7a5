/**
 * A terminal on this client: its output from a position on, across reconnects without a gap or a doubled byte. A
 * program to draw it (xterm.js) is given the bytes as they come.
 */
import type { terminalsContract, terminalsEvents } from '../features/terminals/contract.ts';
import type { FaultCode } from '../protocol/fault.ts';
import type { EventData, Input, Output } from '../protocol/operation.ts';
import { AtelierError } from './atelier-error.ts';
import type { ClientState } from './operations.ts';
import { pauseMs, TIMINGS } from './timings.ts';

type Operations = typeof terminalsContract;
type Events = { [K in keyof typeof terminalsEvents]: EventData<(typeof terminalsEvents)[K]> };
type Size =
  Input<Operations['terminal:resize']> extends { cols: infer C; rows: infer R } ? { cols: C; rows: R } : never;

/** What a terminal needs of the client. */
export interface TerminalClient {
  ready(): Promise<unknown>;
  call<K extends keyof Operations>(name: K, input: Input<Operations[K]>): Promise<Output<Operations[K]>>;
  on<K extends keyof Events>(name: K, listener: (data: Events[K]) => void): () => void;
  on(name: 'state', listener: (data: { state: ClientState }) => void): () => void;
}

export interface TerminalListeners {
  /** The next bytes of output. */
  onOutput: (data: Uint8Array) => void;
  /** Empty the screen and draw this: what came between is not kept any more. */
  onSnapshot: (data: Uint8Array) => void;
  onResized?: (size: Size) => void;
  /** Nothing follows. */
  onExited?: (end: Events['terminal:exited']) => void;
  /** Nothing follows although the terminal may go on: it may not be watched any more, or cannot be reached. */
  onFailed?: (error: AtelierError) => void;
}

export interface AttachOptions {
  /** The first byte of output that is wanted; 0 by default. */
  after?: number;
  /** What is shown; whoever may type takes part in the terminal's size with it. */
  size?: Size;
}

export interface AttachedTerminal {
  /** After the last byte that was given. */
  readonly position: number;
  /** Types. Rejects as `terminal:input` does; what may have been typed is not sent again. */
  input(data: string | Uint8Array): Promise<void>;
  resize(size: Size): Promise<void>;
  /** Hears nothing more; the terminal runs on. */
  detach(): void;
}

/** Another try makes sense: the sandbox may be on its way to another server. */
const PASSING: ReadonlySet<FaultCode> = new Set(['rate_limited', 'timeout', 'unavailable']);

type Piece = { offset: number; data: ArrayBuffer | Uint8Array };

/** Resolves when what is there already was given to the listeners; rejects as `terminal:attach` does. */
export async function attachTerminal(
  client: TerminalClient,
  terminalId: string,
  listeners: TerminalListeners,
  options: AttachOptions = {},
): Promise<AttachedTerminal> {
  // From here on being ready means another connection.
  await client.ready();
  let position = options.after ?? 0;
  let { size } = options;
  let isOver = false;
  /** Counts connections: what was asked on one before is of no use any more. */
  let generation = 0;
  /** What came before the answer that it follows. */
  let early: (() => void)[] | undefined;

  const stops = [
    onOwn('terminal:output', output),
    onOwn('terminal:snapshot', replace),
    onOwn('terminal:resized', ({ size: shown }) => listeners.onResized?.(shown)),
    onOwn('terminal:exited', (end) => {
      finish();
      listeners.onExited?.(end);
    }),
    onOwn('terminal:failed', ({ code, message }) => {
      fail(new AtelierError(code as AtelierError['code'], message));
    }),
    client.on('state', ({ state }) => {
      if (state === 'ready') attach().catch(fail);
      else if (state === 'closed') fail(new AtelierError('unavailable', 'The client was closed'));
      else generation++;
    }),
  ];

  /** In order with the answer, which may be handled after what came right behind it. */
  function onOwn<K extends keyof Events>(name: K, handle: (data: Events[K]) => void): () => void {
    return client.on(name, (data) => {
      if (isOver || !('terminalId' in data) || data.terminalId !== terminalId) return;
      if (early) early.push(() => handle(data));
      else handle(data);
    });
  }

  function output({ offset, data }: Piece): void {
    const known = position - offset;
    if (isOver || known >= data.byteLength) return;
    // Something is missing: it is asked for again.
    if (known < 0) return void attach().catch(fail);
    const bytes = new Uint8Array(data);
    position = offset + bytes.length;
    listeners.onOutput(bytes.subarray(known));
  }

  function replace({ offset, data }: Piece): void {
    if (isOver) return;
    position = offset;
    listeners.onSnapshot(new Uint8Array(data));
  }

  async function attach(): Promise<void> {
    const mine = ++generation;
    early = [];
    const answer = await ask(mine);
    if (!answer || mine !== generation || isOver) return;
    listeners.onResized?.(answer.size);
    if (answer.snapshot) replace(answer.snapshot);
    for (const chunk of answer.chunks) output(chunk);
    const followed = early ?? [];
    early = undefined;
    for (const handle of followed) handle();
  }

  /** Undefined when the connection went meanwhile: the next one asks anew. */
  async function ask(mine: number): Promise<Output<Operations['terminal:attach']> | undefined> {
    for (let tries = 0; ; tries++) {
      try {
        return await client.call('terminal:attach', { terminalId, after: position, ...size });
      } catch (error) {
        if (mine !== generation || isOver) return undefined;
        if (!(error instanceof AtelierError && PASSING.has(error.code))) throw error;
        const forMs = error.retryAfterMs ?? pauseMs(TIMINGS, tries);
        await new Promise((resolve) => setTimeout(resolve, forMs));
        if (mine !== generation || isOver) return undefined;
      }
    }
  }

  function finish(): void {
    isOver = true;
    for (const stop of stops) stop();
  }

  function fail(error: unknown): void {
    if (isOver) return;
    finish();
    listeners.onFailed?.(error instanceof AtelierError ? error : new AtelierError('internal', String(error)));
  }

  try {
    await attach();
  } catch (error) {
    finish();
    throw error;
  }

  return {
    get position() {
      return position;
    },
    async input(data) {
      await client.call('terminal:input', { terminalId, data });
    },
    async resize(next) {
      size = next;
      await client.call('terminal:resize', { terminalId, ...next });
    },
    detach() {
      if (isOver) return;
      finish();
      client.call('terminal:detach', { terminalId }).catch(() => undefined);
    },
  };
}
