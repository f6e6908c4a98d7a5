/** Running code: snippets in a sandbox of their own, and commands in a project's. Operations and events. */
import { z } from 'zod';
import { ClientId, Empty, event, Id, LIMITS, operation, textOf, wireInt } from '../../protocol/index.ts';

export const Language = z.enum(['javascript', 'typescript', 'python', 'bash']);
export type Language = z.output<typeof Language>;

const RunId = Id.meta({ description: 'The id of a run' });

/** How a run ended. */
const ended = {
  exitCode: z.int().nullable().meta({ description: 'Null where a signal ended it' }),
  signal: z.string().nullable().meta({ description: 'The signal that ended it, as SIGKILL' }),
  durationMs: z.int(),
  timedOut: z.boolean().meta({ description: 'It was ended because its time was over' }),
  truncated: z.boolean().meta({ description: 'It was ended because it wrote more than is taken' }),
  reason: z
    .enum(['timeout', 'output', 'memory', 'stopped', 'lost'])
    .optional()
    .meta({ description: 'Why it was ended, where it did not end by itself. `lost`: its sandbox went away' }),
};
export const Ended = z.object(ended);
export type Ended = z.output<typeof Ended>;

const Stream = z.enum(['stdout', 'stderr']);
const Piece = z.object({
  stream: Stream,
  offset: z
    .int()
    .meta({ description: 'UTF-16 units of all output before it, of both streams together, in the order it came' }),
  data: z.string(),
});
export type Piece = z.output<typeof Piece>;

/** What `wait` adds to the answer. */
const result = z.object({
  runId: RunId,
  stdout: z.string().optional(),
  stderr: z.string().optional(),
  ...z.object(ended).partial().shape,
});

const path = z
  .string()
  .min(1)
  .max(LIMITS.pathBytes)
  .meta({ description: 'A file of the project, which is run as it is stored' });

export const codeContract = {
  'code:run': operation({
    input: z.strictObject({
      language: Language,
      code: textOf(LIMITS.runCodeBytes).optional(),
      path: path.optional(),
      stdin: textOf(LIMITS.runStdinBytes).optional(),
      timeoutMs: wireInt(LIMITS.runLeastMs, LIMITS.runMostMs).optional(),
      projectId: Id.optional(),
      wait: z.boolean().optional(),
      clientId: ClientId.optional(),
    }),
    output: result,
    auth: 'user',
    rate: 'runs',
    maxBytes: 2 * (LIMITS.runCodeBytes + LIMITS.runStdinBytes),
    timeoutMs: LIMITS.sandboxStartMs + LIMITS.runMostMs + 5_000,
    http: { route: 'POST /api/code/run' },
    doc: `Runs \`code\`, or the project's file at \`path\`, in a sandbox of its own that goes with it: no network, ${LIMITS.runMemoryMib} MiB of memory, half a processor, ${LIMITS.runProcesses} processes, \`timeoutMs\` ${LIMITS.runLeastMs} to ${LIMITS.runMostMs} (${LIMITS.runDefaultMs}). With a project its files lie in the working directory, as a copy. The output follows as \`code:output\`, then \`code:exited\`; with \`wait\` the answer comes when it has ended, and carries all of it.`,
  }),
  'code:attach': operation({
    input: z.strictObject({ runId: RunId, after: wireInt(0) }),
    output: z.object({ pieces: z.array(Piece), offset: z.int(), ended: Ended.optional() }),
    auth: 'user',
    rate: 'reads',
    orderKey: ({ runId }) => runId,
    doc: `What a run has written from the offset \`after\` on, as far as it is kept (the last ${LIMITS.runKeptChars} UTF-16 units, ${LIMITS.runKeptMs / 60_000} minutes), and how it ended. What it writes from \`offset\` on follows as events. For who started it, and for the members of its project.`,
  }),
  'code:stop': operation({
    input: z.strictObject({ runId: RunId }),
    output: Empty,
    auth: 'user',
    rate: 'writes',
    orderKey: ({ runId }) => runId,
    doc: 'Ends a run. For who started it, and for those who may write in its project.',
  }),
  'sandbox:exec': operation({
    input: z.strictObject({
      projectId: Id,
      command: textOf(LIMITS.execCommandBytes),
      timeoutMs: wireInt(LIMITS.runLeastMs, LIMITS.execMostMs).optional(),
      clientId: ClientId.optional(),
    }),
    output: z.object({ runId: RunId }),
    auth: 'user',
    rate: 'writes',
    timeoutMs: LIMITS.sandboxStartMs + 5_000,
    doc: `Runs a command line in the project's sandbox, without a terminal, with /work as its directory; starts the sandbox where it does not run. Its output and end come as those of \`code:run\`. \`timeoutMs\` is at most ${LIMITS.execMostMs} (${LIMITS.execDefaultMs}). For editors and the owner.`,
  }),
};

export const codeEvents = {
  'code:output': event({
    data: z.object({ runId: RunId, ...Piece.shape }),
    doc: 'What a run has written. All of it comes before `code:exited`.',
  }),
  'code:exited': event({
    data: z.object({ runId: RunId, ...ended }),
    doc: 'A run has ended; there is no more output.',
  }),
};
