/** Operations and events of terminals: shells in a project's sandbox that its members share. */
import { z } from 'zod';
import { Bytes, ClientId, Empty, event, Id, LIMITS, operation, textOf, Time } from '../../protocol/index.ts';

/** The project, who opened it, and which of theirs it is. */
export const TerminalId = z
  .string()
  .regex(/^[0-9a-f]{24}-[0-9a-f]{24}-[0-9a-f]{14}$/, 'must be the id of a terminal')
  .meta({ description: 'The id of a terminal' });

const size = {
  cols: z.int().min(1).max(LIMITS.terminalCols),
  rows: z.int().min(1).max(LIMITS.terminalRows),
};
export const TerminalSize = z.object(size).meta({ description: 'In characters' });
export type Size = z.output<typeof TerminalSize>;

export const TERMINAL_SIGNALS = [
  'SIGHUP',
  'SIGINT',
  'SIGQUIT',
  'SIGKILL',
  'SIGUSR1',
  'SIGUSR2',
  'SIGTERM',
  'SIGCONT',
  'SIGTSTP',
] as const;
export type TerminalSignal = (typeof TERMINAL_SIGNALS)[number];

const Offset = z.int().min(0).meta({ description: 'Bytes of output before it' });
const Credits = z
  .int()
  .min(1)
  .max(LIMITS.terminalCreditBytes)
  .meta({ description: 'Bytes of output that this socket takes before it grants more; without, it is sent all' });

/** How a shell ended; both null where that is not known. */
const exit = { code: z.int().nullable(), signal: z.string().nullable() };

export const Terminal = z.object({
  terminalId: TerminalId,
  projectId: Id,
  userId: Id.meta({ description: 'Who opened it' }),
  command: z.string().optional().meta({ description: 'What was to be run in it, where that is still known' }),
  size: TerminalSize,
  exit: z.object(exit).optional().meta({ description: 'Its shell has ended' }),
});
export type TerminalInfo = z.output<typeof Terminal>;

const Attached = z.object({
  terminalId: TerminalId,
  size: TerminalSize,
  offset: Offset.meta({ description: 'Where `terminal:output` goes on' }),
  chunks: z.array(z.object({ offset: Offset, data: Bytes })).max(LIMITS.terminalChunks),
  snapshot: z
    .object({ offset: Offset, data: Bytes })
    .optional()
    .meta({ description: 'Replaces the screen; the chunks follow it' }),
});
export type Attached = z.output<typeof Attached>;

const Recording = z.object({
  isOn: z.boolean(),
  sizeBytes: z.int().optional(),
  startedAt: Time.optional(),
  url: z.string().optional().meta({ description: 'Of the last one that has ended: asciicast v2' }),
  urlExpiresAt: Time.optional(),
});
export type RecordingInfo = z.output<typeof Recording>;

const terminalKey = ({ terminalId }: { terminalId: string }): string => `terminal:${terminalId}`;
const ofTerminal = { terminalId: TerminalId };

export const terminalsContract = {
  'terminal:open': operation({
    input: z.strictObject({
      projectId: Id,
      ...size,
      command: textOf(LIMITS.terminalCommandBytes)
        .min(1)
        .refine((text) => !text.includes('\0'), { error: 'must have no zero byte' })
        .optional()
        .meta({ description: 'A line of shell; without, a login shell' }),
      cwd: textOf(LIMITS.pathBytes)
        .refine((text) => !text.includes('\0'), { error: 'must have no zero byte' })
        .optional()
        .meta({ description: "A folder of the project's, from its root" }),
      env: z
        .record(
          z.string().regex(/^[A-Za-z_]\w{0,63}$/, 'must be the name of a variable'),
          textOf(LIMITS.terminalVariableBytes).refine((text) => !text.includes('\0'), {
            error: 'must have no zero byte',
          }),
        )
        .refine((env) => Object.keys(env).length <= LIMITS.terminalVariables, {
          error: `must have at most ${LIMITS.terminalVariables} variables`,
        })
        .optional(),
      credits: Credits.optional(),
      clientId: ClientId.optional(),
    }),
    output: Attached,
    auth: 'user',
    rate: 'writes',
    orderKey: ({ projectId }) => `terminals:${projectId}`,
    timeoutMs: 60_000,
    doc: `Opens a terminal in the project's sandbox, which is started if need be, and attaches this socket to it. For the owner and editors. A user has at most ${LIMITS.terminalsPerUser} in one project (quota_exceeded), those that have ended not counted. A repetition with the same clientId finds the same terminal, and is a conflict once that was closed.`,
  }),
  'terminal:attach': operation({
    input: z.strictObject({
      ...ofTerminal,
      after: Offset.default(0).meta({ description: 'The first byte of output that is wanted' }),
      cols: size.cols.optional(),
      rows: size.rows.optional(),
      credits: Credits.optional(),
    }),
    output: Attached,
    auth: 'user',
    rate: 'reads',
    orderKey: terminalKey,
    timeoutMs: 30_000,
    doc: `Attaches this socket: output from \`after\` on follows, in the answer and then as \`terminal:output\`, or a snapshot of the screen where that is no longer kept. With a size, whoever may type in it takes part in the terminal's size. Again on the same socket it begins anew. At most ${LIMITS.terminalsPerSocket} terminals on one socket (rate_limited). For members of the project.`,
  }),
  'terminal:detach': operation({
    input: z.strictObject(ofTerminal),
    output: Empty,
    auth: 'user',
    rate: 'reads',
    orderKey: terminalKey,
    doc: 'This socket hears no more of the terminal, and does not count for its size; the terminal runs on.',
  }),
  'terminal:input': operation({
    input: z.strictObject({ ...ofTerminal, data: z.union([z.string(), Bytes]) }),
    output: Empty,
    auth: 'user',
    rate: 'typing',
    orderKey: terminalKey,
    maxBytes: LIMITS.terminalInputBytes + 1_024,
    doc: `Types at most ${LIMITS.terminalInputBytes} bytes. What the viewer's terminal answers by itself to programs (device attributes, status, colours) is removed: the server's side answers those once. While the terminal's programs do not read, rate_limited. For the owner and editors, attached or not.`,
  }),
  'terminal:resize': operation({
    input: z.strictObject({ ...ofTerminal, ...size }),
    output: z.object({ size: TerminalSize }),
    auth: 'user',
    rate: 'typing',
    orderKey: terminalKey,
    doc: "Says how much this socket shows. The terminal is as small as the smallest of those who may type in it and said so. For the owner and editors; not_found where this socket isn't attached.",
  }),
  'terminal:signal': operation({
    input: z.strictObject({ ...ofTerminal, signal: z.enum(TERMINAL_SIGNALS) }),
    output: Empty,
    auth: 'user',
    rate: 'writes',
    orderKey: terminalKey,
    doc: "Signals what runs in the terminal's foreground. For the owner and editors.",
  }),
  'terminal:close': operation({
    input: z.strictObject(ofTerminal),
    output: Empty,
    auth: 'user',
    rate: 'writes',
    orderKey: terminalKey,
    doc: 'Ends all that runs in a terminal, and forgets it. For the owner and editors.',
  }),
  'terminal:list': operation({
    input: z.strictObject({ projectId: Id }),
    output: z.object({ items: z.array(Terminal) }),
    auth: 'user',
    rate: 'reads',
    http: { route: 'GET /api/projects/:projectId/terminals' },
    doc: "The terminals of a project's sandbox, those that have ended and were not closed among them; none where it does not run. For members of the project.",
  }),
  'terminal:credit': operation({
    input: z.strictObject({ ...ofTerminal, credits: Credits }),
    output: Empty,
    auth: 'user',
    rate: 'typing',
    orderKey: terminalKey,
    doc: `Takes so many bytes of output more, for a socket that attached with credits (else conflict); at most ${LIMITS.terminalCreditBytes} wait to be used.`,
  }),
  'terminal:recording': operation({
    input: z.strictObject({ ...ofTerminal, on: z.boolean().optional() }),
    output: Recording,
    auth: 'user',
    rate: 'writes',
    orderKey: terminalKey,
    timeoutMs: 30_000,
    doc: `Starts or ends the recording of a terminal (for the owner and editors), and tells of it (for members). It ends by itself with the terminal and at ${LIMITS.terminalRecordingBytes} bytes. The last one of a terminal is kept, as asciicast v2, also after the terminal was closed; at most ${LIMITS.terminalRecordings} of a project are under way (quota_exceeded).`,
  }),
};

export const terminalsEvents = {
  'terminal:opened': event({
    data: Terminal,
    doc: "To the project's members: there is one more terminal.",
  }),
  'terminal:closed': event({
    data: z.object({ terminalId: TerminalId, projectId: Id }),
    doc: "To the project's members: a terminal was closed.",
  }),
  'terminal:output': event({
    data: z.object({ terminalId: TerminalId, offset: Offset, data: Bytes }),
    doc: 'To a socket that is attached: what comes at `offset`, right after what came before.',
  }),
  'terminal:snapshot': event({
    data: z.object({ terminalId: TerminalId, offset: Offset, size: TerminalSize, data: Bytes }),
    doc: 'Replaces the screen of a viewer that was too slow, or asked for what is no longer kept: these bytes make an empty terminal of that size look like this one. Output goes on at `offset`.',
  }),
  'terminal:resized': event({
    data: z.object({ terminalId: TerminalId, size: TerminalSize }),
    doc: 'To all who are attached: the terminal has another size.',
  }),
  'terminal:exited': event({
    data: z.object({
      terminalId: TerminalId,
      ...exit,
      reason: z
        .enum(['closed', 'lost'])
        .optional()
        .meta({ description: '`closed`: by `terminal:close`. `lost`: with its sandbox' }),
    }),
    doc: 'The last word of a terminal, after all of its output. This socket is no longer attached.',
  }),
  'terminal:failed': event({
    data: z.object({ terminalId: TerminalId, code: z.string(), message: z.string() }),
    doc: 'This socket is no longer attached although the terminal may go on: its user may not watch it any more (forbidden, not_found), or its server is out of reach (unavailable).',
  }),
};
